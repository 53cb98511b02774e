"""Tune a language model on conversations, or train a reader; keep what either adds to its base.

from finetune.config import load_config
from finetune.training import train

config = load_config("starter", {"data": "talks.jsonl", "model": "base", "out": "adapter"})
for event in train(config):
    print(event)

from finetune.export import merge

merge("base", "adapter", "models", chat_template=None)

from finetune.config import load_reader_config
from finetune.reader_training import train_reader

config = load_reader_config("reader", {"data": "rows.jsonl", "model": "base", "out": "reader"})
for event in train_reader(config):
    print(event)
"""

__all__: list[str] = []
