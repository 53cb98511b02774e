from collections.abc import Iterator
from pathlib import Path

import pytest

from agentlab.cli.main import run


def test_ctrl_c_in_a_training_says_how_to_go_on_and_ends_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import finetune.training
    from finetune.errors import StoppedError

    def stopped(*_: object, **__: object) -> Iterator[object]:
        raise StoppedError("Stopped after step 4. The same command with resume goes on.")
        yield

    monkeypatch.setattr(finetune.training, "train", stopped)
    data = tmp_path / "talks.jsonl"
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    (model / "tokenizer.json").write_text("{}")
    code = run(
        [
            "finetune",
            "sft",
            "--data",
            str(data),
            "--model",
            str(model),
            "--out",
            str(tmp_path / "o"),
        ]
    )
    said = capsys.readouterr().err
    assert code == 130, said
    assert "Stopped after step 4" in said
