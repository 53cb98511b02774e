"""A model in this process: a tiny one with random weights, whose every token is one byte."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from serve import decoding, local
from serve.errors import ModelFolderError, PromptTooLongError, ServeError
from serve.local import LocalModel

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments.query }}</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% for t in tools or [] %}{{ t.function.name }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello there"}]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*marks, *alphabet])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=2,
        bos_token_id=1,
        pad_token_id=2,
        initializer_range=0.4,  # far from flat, so that greedy text varies
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    monkeypatch.setattr(local, "_precision", lambda _device: torch.float32)
    return LocalModel(folder)


def said(model: LocalModel, text: str = "Hello there", **options: Any) -> str:
    messages = [{"role": "user", "content": text}]
    return "".join(model.stream(messages, **{"max_tokens": 24, **options}))


def test_greedy_text_is_that_of_generate(model: LocalModel) -> None:
    ids = torch.tensor([model.tokens(HELLO)])
    expected = model._model.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :]

    assert said(model) == model._tokenizer.decode(expected, skip_special_tokens=True).rstrip("�")


def test_the_cache_of_an_earlier_call_changes_nothing(folder: Path, model: LocalModel) -> None:
    said(model, "Hello world, how are you?")
    warm = said(model, "Hello world, who are you?")
    assert model.reused > len("Hello world, ")

    fresh = LocalModel(folder)
    assert said(fresh, "Hello world, who are you?") == warm
    assert fresh.reused == 0


def test_the_same_prompt_again_computes_one_token_of_it(model: LocalModel) -> None:
    first = said(model)
    assert said(model) == first
    assert model.reused == model.usage[0] - 1


def test_a_long_prompt_is_computed_in_pieces(
    model: LocalModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = said(model, "x" * 150)
    monkeypatch.setattr(local, "PREFILL_TOKENS", 16)
    assert said(LocalModel(folder), "x" * 150) == whole


def test_the_usage_and_the_finish_are_told(model: LocalModel) -> None:
    said(model, max_tokens=5)
    assert model.usage == (len(model.tokens(HELLO)), 5)
    assert model.finish == "length"


def test_the_mark_of_the_end_stops_and_is_not_shown(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = iter(list(b"done"))
    offset = 3
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = [alphabet.index(chr(byte)) + offset for byte in planned]
    script = iter([*ids, 2])
    monkeypatch.setattr(local._Sampler, "choose", lambda _self, _logits: next(script))

    assert said(model) == "done"
    assert (model.finish, model.usage[1]) == ("stop", 5)


def test_a_special_token_inside_the_answer_is_hidden_but_a_tool_call_is_not(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = [alphabet.index(chr(byte)) + 3 for byte in b"<tool_call>{}</tool_call>"]
    script = iter([1, *ids, 2])
    monkeypatch.setattr(local._Sampler, "choose", lambda _self, _logits: next(script))

    assert said(model, max_tokens=60) == "<tool_call>{}</tool_call>"


def test_a_stop_text_ends_the_answer_before_it(model: LocalModel) -> None:
    whole = said(model)
    at = whole.index(whole[8:11])
    assert said(model, stop=[whole[8:11]]) == whole[:at]
    assert model.finish == "stop"


def test_the_same_seed_draws_the_same_text(model: LocalModel) -> None:
    first = said(model, temperature=1.5, seed=7)
    assert said(model, temperature=1.5, seed=7) == first
    assert said(model, temperature=1.5, seed=8) != first


def test_a_negative_temperature_is_refused(model: LocalModel) -> None:
    with pytest.raises(ServeError, match="-1"):
        said(model, temperature=-1)


def test_a_prompt_longer_than_the_context_is_refused_before_any_work(model: LocalModel) -> None:
    long = [{"role": "user", "content": "word " * 100}]
    with pytest.raises(PromptTooLongError, match=r"\b256\b") as caught:
        model.stream(long)
    assert str(len(model.tokens(long))) in str(caught.value)


def test_an_answer_ends_where_the_context_does(model: LocalModel) -> None:
    text = "y" * (256 - len(model.tokens([{"role": "user", "content": ""}])) - 4)
    said(model, text, max_tokens=100)
    assert sum(model.usage) <= 256


def test_a_closed_iterator_does_no_more_work(model: LocalModel) -> None:
    stream = model.stream(HELLO, max_tokens=100)
    next(stream)
    done = model.usage[1]
    stream.close()
    assert model.usage[1] == done
    assert said(model)


def test_an_iterator_dropped_half_way_does_not_block_the_next_call(model: LocalModel) -> None:
    whole = said(model)
    forgotten = model.stream(HELLO, max_tokens=100)
    next(forgotten)
    assert said(model) == whole
    assert list(forgotten) == []


def test_another_thread_can_cancel(model: LocalModel) -> None:
    stream = model.stream(HELLO, max_tokens=200)
    next(stream)
    thread = threading.Thread(target=model.cancel)
    thread.start()
    thread.join()
    list(stream)
    assert model.finish == "cancelled"
    assert model.usage[1] < 10
    assert said(model)


def test_two_threads_take_turns(model: LocalModel) -> None:
    alone = [said(model, "first"), said(model, "second")]
    answers: dict[str, str] = {}

    def ask(text: str) -> None:
        answers[text] = said(model, text)

    threads = [threading.Thread(target=ask, args=(t,)) for t in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers["first"], answers["second"]] == alone


def test_each_thread_is_told_what_its_own_call_took(model: LocalModel) -> None:
    said(model, "Hello there, you", max_tokens=4)
    before = (model.usage, model.reused, model.passes, model.finish)
    other = threading.Thread(target=said, args=(model, "Hi"), kwargs={"max_tokens": 9})
    other.start()
    other.join()
    assert (model.usage, model.reused, model.passes, model.finish) == before


def test_an_error_in_the_middle_leaves_a_usable_model(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = said(model)
    layer = model._model.model.layers[1]
    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            said(model, "Hello there, you")
    assert said(model) == whole
    assert model.reused == 0


def _interrupted(*_args: object, **_named: object) -> None:
    raise KeyboardInterrupt


QUERY = {"type": "string", "maxLength": 9}
SEARCH = {"name": "find", "parameters": {"properties": {"q": QUERY}, "required": ["q"]}}
TOOLS = [{"type": "function", "function": SEARCH}]


def begins_with(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer begin with a character; the rest is the model's."""
    first = sorted(pre_tokenizers.ByteLevel.alphabet()).index(text) + 3
    choose, begun = local._Sampler.choose, []

    def pick(self: local._Sampler, logits: torch.Tensor) -> int:
        begun.append(1)
        return first if len(begun) == 1 else choose(self, logits)

    monkeypatch.setattr(local._Sampler, "choose", pick)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_guided_call_has_its_form_whatever_the_model_is(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    begins_with("<", monkeypatch)
    options = {"guided": True, "tools": TOOLS, "max_tokens": 90}
    text = said(model, temperature=temperature, seed=3, **options)
    assert re.fullmatch(r'<tool_call>\n\{"name": "find", .+\}\n</tool_call>', text)
    assert 1 <= len(json.loads(text[11:-12])["arguments"]["q"]) <= 9
    assert model.finish == "stop"
    assert model.passes < model.usage[1] / 3


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_guided_quote_is_one_of_the_sentences(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    begins_with('"', monkeypatch)
    quotes = [("It rains.", 2), ("It snows.", 3)]
    text = said(model, temperature=temperature, guided=True, quotes=quotes, max_tokens=60)
    assert re.fullmatch(r'"It (rains\." \[2\]|snows\." \[3\])\nAnswer: [^\n]+ \[[23]\]', text)
    assert text[-3:] == re.findall(r"\[.\]", text)[0]


def test_what_is_forced_leaves_the_cache_that_one_token_after_the_other_leaves(
    folder: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        begins_with("<", patch)
        call = said(model, guided=True, tools=TOOLS, max_tokens=90)
    again = [*HELLO, {"role": "assistant", "content": call}, *HELLO]
    warm = "".join(model.stream(again, max_tokens=9))
    assert warm == "".join(LocalModel(folder).stream(again, max_tokens=9))


def test_a_message_that_is_neither_is_the_same_with_a_guide(model: LocalModel) -> None:
    assert said(model, guided=True, tools=TOOLS, quotes=[("It rains.", 1)]) == said(
        model, tools=TOOLS
    )


def test_keys_and_values_grow_past_their_room_and_are_cropped(
    model: LocalModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = said(model, "x" * 60, max_tokens=60)
    monkeypatch.setattr(decoding, "STEP", 8)
    small = LocalModel(folder)
    assert said(small, "x" * 60, max_tokens=60) == whole
    assert said(small, "x" * 50) == said(model, "x" * 50)


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_in_groups_attend_as_they_do_alone(heads: int) -> None:
    torch.manual_seed(1)
    module = torch.nn.Module()
    module.num_key_value_groups = 4 // heads
    query = torch.randn(1, 4, 1, 8)
    key, value = torch.randn(2, 1, heads, 30, 8)
    grouped, _ = decoding.grouped_attention(module, query, key, value, None, scaling=0.3)
    alone, _ = sdpa_attention_forward(module, query, key, value, None, scaling=0.3)
    assert torch.allclose(grouped, alone, atol=1e-6)


def test_a_template_sees_tools_and_the_arguments_as_an_object(model: LocalModel) -> None:
    call = {"id": "1", "type": "function"}
    call |= {"function": {"name": "search", "arguments": '{"query": "hotel"}'}}
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}]
    prompt = model.prompt(messages, [{"type": "function", "function": {"name": "search"}}])

    assert "<tool_call>hotel</tool_call>" in prompt
    assert prompt.endswith("search\n<|im_start|>assistant\n")


def test_a_template_of_ours_replaces_that_of_the_folder(folder: Path) -> None:
    ours = LocalModel(folder, chat_template="{{ messages[0].content }}!")
    assert ours.prompt(HELLO) == "Hello there!"


def test_a_folder_without_a_template_is_refused(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in folder.iterdir():
        if "template" not in file.name:
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelFolderError, match="no chat template"):
        LocalModel(bare)


def test_broken_weights_are_told_with_the_folder(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ModelFolderError, match=str(broken)):
        LocalModel(broken)


@pytest.fixture(scope="module")
def starter(starter_base: Path) -> LocalModel:
    return LocalModel(starter_base)


@pytest.mark.slow
def test_a_second_turn_of_the_real_model_starts_at_once(starter: LocalModel) -> None:
    first = [{"role": "user", "content": "Rules: " + "a night costs 90 euros. " * 60}]
    answer = "".join(starter.stream(first, max_tokens=12))
    cold = starter.usage[0]
    second = [*first, {"role": "assistant", "content": answer}, *HELLO]
    assert "".join(starter.stream(second, max_tokens=12))
    assert starter.reused >= cold - 1
