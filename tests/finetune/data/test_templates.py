from pathlib import Path

import pytest

from finetune.data.rows import Instruction
from finetune.data.templates import fill, load_template, template_names
from finetune.errors import TemplateError

ROW = Instruction("How much?", "It costs 4 euros.", "4 euros", path="a", line=3)


@pytest.mark.parametrize("name", template_names())
def test_every_shipped_template_shows_task_and_context_and_ends_with_the_response(
    name: str,
) -> None:
    template = load_template(name)
    assert template.about.endswith(".")
    row = fill(template, ROW)
    said = "\n".join(each["content"] for each in row.messages[:-1])
    assert "How much?" in said
    assert "It costs 4 euros." in said
    assert row.messages[-1] == {"role": "assistant", "content": "4 euros"}
    assert row.place == "a:3"
    assert "Context" not in fill(template, Instruction("a", "", "b")).messages[0]["content"]


def test_a_blank_message_is_left_out() -> None:
    grounded = load_template("grounded")
    assert [each["role"] for each in fill(grounded, ROW).messages] == [
        "system",
        "user",
        "assistant",
    ]
    without = fill(grounded, Instruction("a", " ", "b"))
    assert [each["role"] for each in without.messages] == ["user", "assistant"]


def test_ones_own_template_may_use_any_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'about = "Mine."\n[[messages]]\nrole = "user"\n'
        'content = "[{{ category }}] {{ instruction }}"\n'
        '[[messages]]\nrole = "assistant"\ncontent = "{{ response }}"\n',
        encoding="utf-8",
    )
    row = Instruction("a", "", "b", extra={"category": "open"})
    assert fill(load_template(path), row).messages[0]["content"] == "[open] a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("about = ", "Invalid value"),
        ('about = "x"', "messages"),
        ('about = "x"\n[[messages]]\nrole = "bot"\ncontent = "a"', "unknown roles bot"),
        ('about = "x"\n[[messages]]\nrole = "user"\ncontent = "{% if"', "expected"),
        ('about = "x"\n[[messages]]\nrole = "user"\ncontent = "a"', "no message of the assistant"),
    ],
)
def test_an_unusable_template_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TemplateError, match=said):
        load_template(path)


def test_an_unknown_template_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TemplateError, match="chat, dolly, grounded"):
        load_template("doly")
