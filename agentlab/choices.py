"""Choices: the words that a setting and the option of its name take alike."""

from typing import Literal

Engine = Literal["auto", "transformers", "vllm", "openai"]
Web = Literal["auto", "serpapi", "serper", "tavily", "ddgs", "recorded", "off"]
TwoStep = Literal["auto", "always", "never"]
Parents = Literal["none", "neighbours", "page"]
EmbedderBackend = Literal["auto", "torch", "onnx", "openai"]
