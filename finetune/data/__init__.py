"""The data to learn from: rows of known kinds, read and checked from files.

from pathlib import Path

from finetune.data.reading import kind_of, read_examples, read_pairs

kind_of(Path("pairs.csv"))            # "pair"
pairs = read_pairs([Path("pairs.csv"), Path("folder-of-parquet")])
pairs[0].place, pairs[0].lineage      # "pairs.csv:2", {"run": "...", "source": "..."}
read_examples([Path("talks.jsonl")])  # conversations and texts, for supervised tuning
"""

__all__: list[str] = []
