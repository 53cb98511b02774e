"""Duplicates: rows that say the same, word for word or nearly."""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterator
from typing import Any

from finetune.data.content import Content
from finetune.errors import MissingPackageError

_WORDS = re.compile(r"\w+")
_SHINGLE = 3
_PERMUTATIONS = 128


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

    Compared are the sets of three words in a row (Broder 1997, with datasketch's banding). A row
    repeats another where both their whole words and their answers alone have an estimated Jaccard
    similarity of `threshold`: rows that ask different things of one long passage are not the same.
    It keeps one kilobyte a row.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHashLSH
        except ImportError as error:
            raise MissingPackageError(
                "Near duplicates are found by datasketch, which is not installed: "
                "pip install 'agentlab-rag[data]'."
            ) from error
        self._threshold = threshold
        self._index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
        self._sketches: dict[str, tuple[Any, Any]] = {}

    def twin_or_add(self, name: str, content: Content) -> str | None:
        """Give the name of an earlier row that this one nearly repeats; else remember this one."""
        whole = _sketch(content.whole)
        part = content.answered or content.asked
        answered = whole if part == content.whole else _sketch(part)
        for twin in self._index.query(whole):
            other_whole, other_answered = self._sketches[twin]
            likeness = min(whole.jaccard(other_whole), answered.jaccard(other_answered))
            if likeness >= self._threshold:
                return str(twin)
        self._sketches[name] = (whole, answered)
        self._index.insert(name, whole)
        return None


def _sketch(text: str) -> Any:
    from datasketch import LeanMinHash, MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS, hashfunc=zlib.crc32)  # SHA-1 takes most of the time
    sketch.update_batch(list(_shingles(words_of(text))))
    return LeanMinHash(sketch)


def _shingles(words: list[str]) -> Iterator[bytes]:
    if len(words) <= _SHINGLE:
        yield " ".join(words).encode()
    for start in range(len(words) - _SHINGLE + 1):
        yield " ".join(words[start : start + _SHINGLE]).encode()
