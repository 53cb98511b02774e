"""Tune a language model or an embedder, or train a reader or a router; keep what each adds.

from pathlib import Path

from finetune.method_config import load_config
from finetune.training import train

config = load_config("sft", "starter", {"data": "talks.jsonl", "model": "base", "out": "adapter"})
for event in train(config):
    print(event)

from finetune.export import merge

merge("base", "adapter", "models", chat_template=None)

from finetune.delivery import Order, deliver

print(deliver(Order(run=Path("adapter"), out=Path("export"), engine="vllm")).servability)

from finetune.config import load_reader_config
from finetune.reader_training import train_reader

config = load_reader_config("reader", {"data": "rows.jsonl", "model": "base", "out": "reader"})
for event in train_reader(config):
    print(event)

from finetune.config import load_router_config
from finetune.router_training import train_router

config = load_router_config("router", {"data": "texts.jsonl", "model": "base", "out": "router"})
for event in train_router(config):
    print(event)

from finetune.config import load_retriever_config
from finetune.retriever_training import train_retriever

config = load_retriever_config("retriever", {"data": "rows.jsonl", "out": "embedder"})
for event in train_retriever(config):
    print(event)
"""

__all__: list[str] = []
