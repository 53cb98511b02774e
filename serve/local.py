"""LocalModel: a model in this process that streams its answer to a conversation.

One forward pass a token over a key-value cache that outlives the call: the turns of an agent share
their beginning, so only what is new in a prompt is computed. Greedy unless asked otherwise.
"""

import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from serve.decoding import group_heads, open_cache
from serve.errors import ModelFolderError, PromptTooLongError, ServeError
from serve.guide import Guide
from serve.text import StopText, TextPieces
from serve.vocabulary import Vocabulary
from serve.whole import checked

Message = Mapping[str, Any]
Finish = Literal["stop", "length", "cancelled"]

PREFILL_TOKENS = 512
"""Tokens of a prompt that are computed at once: what a cancelled call has to wait for at most."""


class LocalModel:
    """Hold a model and its tokenizer; safe to share between threads, one call at a time."""

    def __init__(
        self, folder: Path, *, chat_template: str | None = None, threads: int | None = None
    ) -> None:
        """Load the folder; `chat_template` replaces its own, `threads` limits torch's."""
        if threads is not None:
            torch.set_num_threads(threads)
        self.folder = checked(folder)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer, self._model = _load(folder, self.device)
        self._template = chat_template or self._tokenizer.chat_template
        if not self._template:
            raise ModelFolderError(
                f"{folder} has no chat template: give one, or take a model tuned for conversation"
            )
        self.context: int = self._model.config.get_text_config().max_position_embeddings
        self._last = _LastCall()
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._hidden = frozenset(self._tokenizer.all_special_ids)
        self._vocabulary = Vocabulary(self._tokenizer, ends=self._ends, device=self.device)
        self._cache = open_cache(self._model.config)
        self._cached: list[int] = []
        self._turn = threading.Lock()
        self._running: tuple[int, Generator[str]] | None = None
        self._cancelled = threading.Event()

    def __repr__(self) -> str:
        """Say which model runs where and in what precision."""
        return f"LocalModel({str(self.folder)!r}, {self.device}, {self._model.dtype})"

    @property
    def usage(self) -> tuple[int, int]:
        """Tell the tokens of the prompt and of the answer of this thread's last call."""
        return self._last.usage

    @property
    def reused(self) -> int:
        """Tell how many tokens of this thread's last prompt the cache already held."""
        return self._last.reused

    @property
    def passes(self) -> int:
        """Tell the forward passes of this thread's last answer, the prompt's own not counted."""
        return self._last.passes

    @property
    def finish(self) -> Finish:
        """Tell why this thread's last answer ended."""
        return self._last.finish

    def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message] | None = None,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: Sequence[str] | None = None,
        guided: bool = False,
        quotes: Sequence[tuple[str, int]] = (),
        others: Sequence[str] | None = None,
        calls: Sequence[str] | None = None,
    ) -> Generator[str]:
        """Yield the answer to OpenAI-shaped messages piece by piece, tool calls as their text.

        Closing the iterator ends the work. `max_tokens` is cut to what the context leaves. Raises
        PromptTooLongError at once if the prompt leaves no room for an answer. `guided` keeps what
        begins as a call to the form of one, and what begins as a quote to one of `quotes`, which
        are sentences and the numbers of their sources; with `others`, the message is one of these,
        a call or a quote. `calls` names the tools that may be called, if not all.
        """
        prompt = self.tokens(messages, tools)
        room = self.context - len(prompt)
        if room < 1:
            raise PromptTooLongError(
                f"the conversation has {len(prompt)} tokens and the model reads {self.context}: "
                "start a new conversation, or lower the number or the length of the passages"
            )
        self._close_what_this_thread_left_open()
        guide = None
        if guided:
            usable = [t for t in tools or () if calls is None or t["function"]["name"] in calls]
            guide = Guide.of(self._vocabulary, tools=usable, quotes=quotes, others=others)
        choose = _Chooser(_Sampler(temperature, seed), guide)
        answer = self._answer(prompt, min(max_tokens, room), choose, StopText(stop or ()))
        self._running = (threading.get_ident(), answer)
        return answer

    def tokens(
        self, messages: Sequence[Message], tools: Sequence[Message] | None = None
    ) -> list[int]:
        """Return the prompt as token ids, the mark of the assistant's turn included."""
        text = self.prompt(messages, tools)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, messages: Sequence[Message], tools: Sequence[Message] | None = None) -> str:
        """Return the prompt as the chat template writes it."""
        rendered = self._tokenizer.apply_chat_template(
            [_with_parsed_arguments(m) for m in messages],
            tools=list(tools) if tools else None,
            chat_template=self._template,
            add_generation_prompt=True,
            tokenize=False,
        )
        return str(rendered)

    def cancel(self) -> None:
        """End the running call from another thread, within one token or one piece of the prompt."""
        self._cancelled.set()

    def _close_what_this_thread_left_open(self) -> None:
        # An iterator that was dropped half-way still holds the turn; its own thread cannot wait.
        if self._running and self._running[0] == threading.get_ident():
            self._running[1].close()

    def _answer(
        self, prompt: list[int], limit: int, chooser: "_Chooser", stop: StopText
    ) -> Generator[str]:
        with self._turn:
            self._cancelled.clear()
            self._last.usage, self._last.passes, self._last.finish = (len(prompt), 0), 0, "length"
            pieces = TextPieces(self._decode)
            for written, token in enumerate(self._written(prompt, limit, chooser), start=1):
                self._last.usage = (len(prompt), written)
                if token in self._ends:
                    self._last.finish = "stop"
                    break
                if piece := stop.pass_on("" if token in self._hidden else pieces.add(token)):
                    yield piece
                if stop.seen:
                    self._last.finish = "stop"
                    return
            if self._cancelled.is_set():
                self._last.finish = "cancelled"
            elif rest := stop.pass_on(pieces.flush()) + stop.flush():
                yield rest

    def _written(self, prompt: list[int], limit: int, chooser: "_Chooser") -> Iterator[int]:
        """Yield the tokens of the answer; what is forced on it is computed together."""
        logits = self._read(prompt)
        left = limit
        while logits is not None:
            chosen = chooser.choose(logits, left=left)[:left]
            yield from chosen
            left -= len(chosen)
            if not left:
                return
            logits = self._forward(chosen)
            self._last.passes += 1

    def _read(self, prompt: list[int]) -> torch.Tensor | None:
        """Compute what the cache lacks of the prompt; return the logits after its last token."""
        self._last.reused = self._keep_common_prefix(prompt)
        logits = None
        for start in range(self._last.reused, len(prompt), PREFILL_TOKENS):
            logits = self._forward(prompt[start : start + PREFILL_TOKENS])
        return logits

    def _keep_common_prefix(self, prompt: list[int]) -> int:
        """Crop the cache to what it shares with the prompt; return the length of that."""
        common = 0
        # The last token is always computed again: its logits are not in the cache.
        for ours, theirs in zip(self._cached, prompt[:-1], strict=False):
            if ours != theirs:
                break
            common += 1
        surplus = len(self._cached) - common
        if surplus and not all(layer.is_croppable for layer in self._cache.layers):
            self._forget()
            return 0
        self._cache.crop(-surplus)
        del self._cached[common:]
        return common

    @torch.inference_mode()
    def _forward(self, tokens: list[int]) -> torch.Tensor | None:
        """Return the next token's logits, or None if the call was cancelled."""
        if self._cancelled.is_set():
            return None
        try:
            output = self._model(
                input_ids=torch.tensor([tokens], device=self.device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        except BaseException:
            self._forget()  # some layers have the tokens and some have not
            raise
        self._cached.extend(tokens)
        logits: torch.Tensor = output.logits[0, -1]
        return logits

    def _forget(self) -> None:
        self._cache = open_cache(self._model.config)
        self._cached = []

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))


class _LastCall(threading.local):
    """What a thread's last call took: another thread's call must not write over it."""

    usage: tuple[int, int] = (0, 0)
    reused = 0
    passes = 0
    finish: Finish = "stop"


class _Sampler:
    """Choose the next token: the likeliest, or one drawn at a temperature."""

    def __init__(self, temperature: float, seed: int | None) -> None:
        if temperature < 0:
            raise ServeError(f"the temperature is {temperature}: give 0 (greedy) or more")
        self.temperature = temperature
        self.random = torch.Generator()
        if seed is not None:
            self.random.manual_seed(seed)
        else:
            self.random.seed()

    def choose(self, logits: torch.Tensor) -> int:
        """Return the id of the next token."""
        if self.temperature == 0:
            return int(logits.argmax())
        weights = torch.softmax(logits.float().cpu() / self.temperature, dim=-1)
        return int(torch.multinomial(weights, 1, generator=self.random))


class _Chooser:
    """Choose what comes next: one token, and whatever the guide forces behind it."""

    def __init__(self, sampler: _Sampler, guide: Guide | None) -> None:
        self._sampler = sampler
        self._guide = guide

    def choose(self, logits: torch.Tensor, *, left: int) -> list[int]:
        """Return the next tokens, at least one; `left` is how many there may be."""
        if self._guide is None:
            return [self._sampler.choose(logits)]
        chosen: list[int] = []
        while not chosen:
            allowed = self._guide.allowed()
            fit = logits
            if allowed is not None:
                # A model can have more rows than its tokenizer has tokens.
                fit = logits[: len(allowed)].masked_fill(~allowed, -torch.inf)
            chosen = self._guide.take(self._sampler.choose(fit), left=left)
        return chosen


def _load(folder: Path, device: str) -> tuple[Any, Any]:
    """Load the tokenizer and the model without a word on the terminal."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_precision(device), local_files_only=True
        )
    except (OSError, ValueError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelFolderError(
            f"{folder} cannot be loaded: {said}; "
            "delete the folder to have it made again, or give another one"
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    model.to(device)  # type: ignore[arg-type]  # its annotation is that of a decorator
    if device == "cpu":
        group_heads(model)
    return tokenizer, model.eval()


def _precision(device: str) -> torch.dtype:
    """Return bf16 where the hardware computes in it: elsewhere it is emulated and slow."""
    if device == "cuda":
        return torch.bfloat16
    fast = torch.cpu.get_capabilities().get("avx512_bf16")  # every CPU with AMX has it, too
    return torch.bfloat16 if fast else torch.float32


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return every token that ends an answer."""
    listed = model.generation_config.eos_token_id
    ends = set(listed if isinstance(listed, list) else [listed])
    return frozenset(ends | {tokenizer.eos_token_id}) - {None}


def _with_parsed_arguments(message: Message) -> dict[str, Any]:
    """Give the template a tool call's arguments as an object; the protocol sends them as text.

    vLLM does the same, so that one template reads the same from both.
    """
    calls = message.get("tool_calls")
    if not calls:
        return dict(message)
    return {**message, "tool_calls": [_parsed(call) for call in calls]}


def _parsed(call: Message) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (TypeError, ValueError):
        arguments = function["arguments"]
    return {**call, "function": {**function, "arguments": arguments}}
