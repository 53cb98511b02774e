"""The READMEs are true: their blocks run, their tables and numbers agree, their links lead on."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from readme_pages import PAGES, ROOT, anchors, blocks, kinds, lines, links, name_of, text_of

README = text_of(ROOT / "README.md")
BENCH = ROOT / "tests" / "bench"
NUMBER = r"(?<![\w.])\d*\.?\d+"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, with the models that this machine already has."""
    home = tmp_path_factory.mktemp("home")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "AGENTLAB_HOME": str(home), "PATH": path, "NO_COLOR": "1"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the repository, whose `runs` may be written to."""
    (tmp_path / "agentlab").symlink_to(ROOT / "agentlab")
    (tmp_path / "runs").mkdir()
    return tmp_path


def run(
    command: list[str], environment: dict[str, str], cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_there_is_no_kind_of_block_that_nothing_tests() -> None:
    assert kinds() == {"console", "text", "python", "bash", "toml", "yaml"}


@pytest.mark.parametrize("line", lines("console"))
def test_what_is_shown_and_not_run_is_there(line: str, shell: dict[str, str]) -> None:
    words = re.sub(r"^\$ (?:[A-Z_]+=\S+ )*", "", line).split("#")[0].split()
    if words[0] == "make":
        done = run([*words, "--dry-run"], shell)
        assert done.returncode == 0, done.stderr
    elif words[0] == "python":
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        assert [word for word in words[2:] if word[:2] == "--" and f'"{word}"' not in script] == []
    elif words[:2] == ["pip", "install"]:
        assert set(re.findall(r"\[(\w+)\]", line)) <= extras()
    else:  # tests/agentlab/test_cli_examples.py looks at each line of agentlab's
        assert words[0] == "agentlab" or line == "$ docker compose up --wait"


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_extras_that_a_page_names_can_be_installed(page: Path) -> None:
    assert set(re.findall(r"agentlab-rag\[(\w+)\]", text_of(page))) <= extras()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_and_then_the_python_of_the_pages_run(
    starter_base: Path, shell: dict[str, str], checkout: Path
) -> None:
    for line in lines("bash"):
        done = run(["bash", "-c", line], shell, checkout)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    for text in blocks("python"):
        done = run([sys.executable, "-c", text], shell, checkout)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_the_settings_files_of_the_pages_are_accepted() -> None:
    from agentlab.settings import Settings

    for text in blocks("toml"):
        Settings(**tomllib.loads(text))


def test_the_plans_of_the_pages_are_accepted(tmp_path: Path) -> None:
    from finetune.stages import read_plan

    for number, text in enumerate(blocks("yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        assert len(read_plan(file).stages) == text.count("method:")


def settings_table() -> str:
    from agentlab.settings import Settings

    rows = ["| setting | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "per user" if field.default_factory else str(field.default)
        shown = "" if field.default is None and not field.default_factory else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_table_of_settings_is_the_one_that_the_code_gives() -> None:
    page = text_of(ROOT / "agentlab" / "README.md")
    written = page.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert written.strip() == settings_table()


def test_the_demo_asks_what_the_transcript_shows() -> None:
    from agentlab.cli.demo import questions

    transcript = README.split("<!-- transcript")[1].split("```")[1]
    assert all(question in transcript for question in questions())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for link in links(page):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def results() -> list[str]:
    table = README.split("<!-- results -->")[1].split("<!-- /results -->")[0]
    return table.strip().splitlines()[2:]


@pytest.mark.parametrize("row", results())
def test_a_headline_number_stands_on_the_page_that_its_row_links(row: str) -> None:
    measured, link = row.strip("|").split("|")[2:4]
    page = text_of(ROOT / re.findall(r"\(([^)#]+)", link)[0])
    numbers = re.findall(NUMBER, measured)
    assert numbers
    assert set(numbers) <= set(re.findall(NUMBER, page))


def test_the_page_of_benchmarks_has_each_of_them() -> None:
    page = text_of(BENCH / "README.md")
    scripts = [each for each in BENCH.glob("*.py") if '__name__ == "__main__"' in each.read_text()]
    assert scripts
    assert [each.name for each in scripts if f"python tests/bench/{each.name}" not in page] == []


def test_the_page_of_tuning_has_each_method_and_recipe() -> None:
    from finetune.method_config import METHODS

    page = text_of(ROOT / "finetune" / "README.md")
    recipes = [each.stem for each in (ROOT / "finetune" / "recipes").glob("*.yaml")]
    assert [each for each in [*METHODS, *recipes] if f"`{each}`" not in page] == []


def test_the_four_packages_lie_in_one_folder() -> None:
    import agentlab
    import finetune
    import ingest
    import serve

    folders = {Path(each.__file__ or "").parents[1] for each in (agentlab, ingest, finetune, serve)}
    assert len(folders) == 1
