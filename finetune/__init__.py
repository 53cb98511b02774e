"""Tune a language model on conversations and keep the result as an adapter folder.

from finetune.config import load_config
from finetune.training import train

config = load_config("starter", {"data": "conversations.jsonl", "out": "adapter"})
for event in train(config):
    print(event)

from finetune.export import merge

merge("base", "adapter", "models", chat_template=None)
"""

__all__: list[str] = []
