"""The README is true: its blocks run, its table is generated, its files exist."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, with the models that this machine already has."""
    home = tmp_path_factory.mktemp("home")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "AGENTLAB_HOME": str(home), "PATH": path, "NO_COLOR": "1"}


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_there_is_no_kind_of_block_that_nothing_tests() -> None:
    assert {name for name, _ in BLOCKS} == {"console", "text", "python", "bash", "toml"}


@pytest.mark.parametrize("line", [line for text in blocks("console") for line in text.splitlines()])
def test_a_make_target_of_the_readme_exists(line: str, shell: dict[str, str]) -> None:
    command = line.removeprefix("$ ").split("#")[0].split()
    done = run([*command, "--dry-run"], shell)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_and_then_the_python_of_the_readme_run(
    starter_base: Path, shell: dict[str, str]
) -> None:
    for text in blocks("bash"):
        for line in text.splitlines():
            done = run(["bash", "-c", line], shell)
            assert done.returncode == 0, f"{line}: {done.stderr}"
    for text in blocks("python"):
        done = run([sys.executable, "-c", text], shell)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_the_settings_file_of_the_readme_is_accepted() -> None:
    from agentlab.settings import Settings

    for text in blocks("toml"):
        Settings(**tomllib.loads(text))


def settings_table() -> str:
    from agentlab.settings import Settings

    lines = ["| setting | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "per user" if field.default_factory else str(field.default)
        shown = "" if field.default is None and not field.default_factory else f"`{default}`"
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines)


def test_the_table_of_settings_is_the_one_that_the_code_gives() -> None:
    written = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert written.strip() == settings_table()


def test_the_demo_asks_what_the_transcript_shows() -> None:
    from agentlab.cli.demo import questions

    transcript = README.split("<!-- transcript")[1].split("```")[1]
    assert all(question in transcript for question in questions())


def test_the_four_packages_lie_in_one_folder() -> None:
    import agentlab
    import finetune
    import ingest
    import serve

    folders = {Path(each.__file__ or "").parents[1] for each in (agentlab, ingest, finetune, serve)}
    assert len(folders) == 1
