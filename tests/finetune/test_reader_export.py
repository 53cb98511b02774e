import json
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file
from transformers import BertForQuestionAnswering

from finetune.errors import DivergedError
from finetune.reader_export import write_reader


@pytest.fixture
def tuned(tiny_bert: Path) -> BertForQuestionAnswering:
    """A reader on the tiny BERT whose encoder moved."""
    torch.manual_seed(5)
    model = BertForQuestionAnswering.from_pretrained(tiny_bert)
    with torch.no_grad():
        for weight in model.bert.encoder.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model.eval()


def test_the_file_and_the_base_make_the_tuned_reader_again(
    tuned: BertForQuestionAnswering, tiny_bert: Path, tmp_path: Path
) -> None:
    facts = {"rows": 12, "tokens": 3400}
    out = tmp_path / "out"
    path = write_reader(tuned.state_dict(), out, base="some/bert", max_length=320, facts=facts)
    assert {file.name for file in out.iterdir()} == {"reader.safetensors", "reader_config.json"}
    kept = load_file(path)
    assert {value.dtype for value in kept.values()} == {torch.float16}
    assert {name.split(".layer")[0] for name in kept} == {
        "bert.encoder",
        "qa_outputs.weight",
        "qa_outputs.bias",
    }
    settings = json.loads((path.parent / "reader_config.json").read_text())
    assert settings == {"base": "some/bert", "max_length": 320, **facts}

    ids = torch.randint(5, 60, (2, 20))
    expected = tuned(ids)
    model = BertForQuestionAnswering.from_pretrained(tiny_bert).eval()
    before = model(ids)
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert not unexpected
    assert all(name.startswith("bert.embeddings.") for name in missing)
    after = model(ids)
    assert (expected.start_logits - before.start_logits).abs().max() > 0.05
    torch.testing.assert_close(after.start_logits, expected.start_logits, atol=5e-3, rtol=0)
    torch.testing.assert_close(after.end_logits, expected.end_logits, atol=5e-3, rtol=0)


def test_weights_that_fp16_cannot_hold_are_never_written(
    tuned: BertForQuestionAnswering, tmp_path: Path
) -> None:
    with torch.no_grad():
        tuned.qa_outputs.weight[0, 0] = 1e6
    with pytest.raises(DivergedError, match=r"qa_outputs\.weight"):
        write_reader(tuned.state_dict(), tmp_path / "out", base="some/bert", max_length=320)
    assert not (tmp_path / "out" / "reader.safetensors").exists()


@pytest.mark.slow
def test_a_reader_on_the_real_base_is_small_enough_to_ship(
    minilm_folder: Path, tmp_path: Path
) -> None:
    model = BertForQuestionAnswering.from_pretrained(minilm_folder)
    path = write_reader(model.state_dict(), tmp_path / "out", base="minilm", max_length=320)
    assert path.stat().st_size <= 22e6
