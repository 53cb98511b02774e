"""Duplicates: rows that say the same, word for word or nearly."""

import hashlib
import math
import re
import unicodedata
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from finetune.data.content import Content
from finetune.errors import MissingPackageError

_WORDS = re.compile(r"\w+")
_SHINGLE = 3
_PERMUTATIONS = 128
_BLOCK = 4096
SKETCH = (2, _PERMUTATIONS)
"""The shape of a row's sketch."""


def words_of(text: str) -> list[str]:
    """List a text's words as they are compared: in one Unicode form, small, without marks."""
    return _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())


def exact_key(content: Content) -> bytes:
    """Name a row by its words; two with one key say the same."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (content.context, content.asked, content.answered):
        digest.update(" ".join(words_of(part)).encode())
        digest.update(b"\0")
    return digest.digest()


class NearDuplicates:
    """Finds the earlier row that a row nearly repeats, by MinHash.

    Compared are the sets of three words in a row (Broder 1997). A row repeats another where both
    their whole words and their answers alone have an estimated Jaccard similarity of `threshold`:
    rows that ask different things of one long passage are not the same. Rows that share a band of
    their sketches are compared (Leskovec et al. 2014, "Mining of Massive Datasets", section 3.4),
    the earliest first. It keeps about two kilobytes a row.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingPackageError(
                "Near duplicates are found by datasketch, which is not installed: "
                "pip install 'agentlab-rag[data]'."
            ) from error
        self._threshold = threshold
        bands = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
        self._width: int = bands.r
        # SHA-1 would take most of the time, and so would permutations made anew for each text
        self._empty = MinHash(num_perm=_PERMUTATIONS, hashfunc=zlib.crc32)
        self._columns = range(0, bands.b * bands.r, bands.r)
        self._names: list[str] = []
        self._blocks: list[np.ndarray] = []
        self._with_band: dict[int, int | list[int]] = {}

    def sketch(self, content: Content) -> np.ndarray:
        """Sketch a row's whole words and its answer: uint32 of shape SKETCH."""
        part = content.answered or content.asked
        whole = self._sketched(content.whole)
        return np.stack([whole, whole if part == content.whole else self._sketched(part)])

    def twin(self, sketch: np.ndarray) -> str | None:
        """Give the name of the first row that is nearly the same."""
        found: set[int] = set()
        for key in self._bands(sketch):
            known = self._with_band.get(key, [])
            found.update(known if isinstance(known, list) else (known,))
        for row in sorted(found):
            likeness = (self._blocks[row // _BLOCK][row % _BLOCK] == sketch).mean(axis=1)
            if likeness.min() >= self._threshold:
                return self._names[row]
        return None

    def add(self, name: str, sketch: np.ndarray) -> None:
        """Remember a row."""
        row = len(self._names)
        if row % _BLOCK == 0:
            self._blocks.append(np.empty((_BLOCK, *SKETCH), np.uint32))
        self._blocks[-1][row % _BLOCK] = sketch
        self._names.append(name)
        for key in self._bands(sketch):
            known = self._with_band.get(key)
            if known is None:
                self._with_band[key] = row
            elif isinstance(known, list):
                known.append(row)
            else:
                self._with_band[key] = [known, row]

    def _bands(self, sketch: np.ndarray) -> Iterator[int]:
        for start in self._columns:
            yield hash((start, sketch[0, start : start + self._width].tobytes()))

    def _sketched(self, text: str) -> np.ndarray:
        sketch = self._empty.copy()
        sketch.update_batch(list(_shingles(words_of(text))))
        return sketch.hashvalues.astype(np.uint32)


def read_sketch(file: BinaryIO) -> np.ndarray:
    """Read the next of the sketches that stand one after the other in a file."""
    size = math.prod(SKETCH) * np.dtype(np.uint32).itemsize
    return np.frombuffer(file.read(size), np.uint32).reshape(SKETCH)


def _shingles(words: list[str]) -> Iterator[bytes]:
    if len(words) <= _SHINGLE:
        yield " ".join(words).encode()
    for start in range(len(words) - _SHINGLE + 1):
        yield " ".join(words[start : start + _SHINGLE]).encode()
