"""PDFs that are made to harm their reader: by time, by memory, by what they say of themselves."""

import zlib
from collections.abc import Sequence
from pathlib import Path

TEXT = "Thirty days of leave a year for everyone."

_CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
_PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
_BOX = b"/MediaBox[0 0 600 800]"
_PAGE = b"<</Type/Page/Parent 2 0 R%s/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>" % _BOX
_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
_OUTLINED = b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R>>"
_LABELLED = b"<</Type/Catalog/Pages 2 0 R/PageLabels 6 0 R>>"
_DRAWN = b"BT /F 12 Tf 100 700 Td (%s) Tj ET" % TEXT.encode()


def write_forms_within_forms(path: Path, depth: int = 40) -> Path:
    """Write a page that draws a form, which draws another twice, and so on: 2**depth drawings."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]"
    forms = [
        _stream(b"/X Do /X Do", form + b"/Resources<</XObject<</X %d 0 R>>>>" % (7 + number))
        for number in range(depth)
    ]
    page = _PAGE.replace(b"/Font<</F 5 0 R>>", b"/XObject<</X 6 0 R>>")
    return _write(path, [page, _stream(b"/X Do"), _FONT, *forms, _stream(_DRAWN, form)])


def write_bomb(path: Path, megabytes: int = 300) -> Path:
    """Write a page whose text unpacks to hundreds of times its size."""
    packer = zlib.compressobj(1)
    text = b"BT /F 12 Tf (Hello) Tj ET\n" * 40_000
    packed = b"".join(packer.compress(text) for _ in range(megabytes)) + packer.flush()
    return _write(path, [_PAGE, _stream(packed, b"/Filter/FlateDecode"), _FONT])


def write_hostile(folder: Path) -> dict[Path, str]:
    """Write one of each kind, with what should become of it."""
    text = _stream(_DRAWN)
    whole = _write(folder / "whole.pdf", [_PAGE, text, _FONT])
    good = whole.read_bytes()
    contents = {
        "nothing but a header": (b"%PDF-1.7\n" + bytes(100_000), "corrupt"),
        "cut short": (good[: len(good) // 2], "corrupt"),
        "a wrong place for the table": (good.replace(b"startxref\n", b"startxref\n9"), "ok"),
        "a table that follows itself": (
            good.replace(b"/Root", b"/Prev %d/Root" % good.index(b"xref\n")),
            "ok",
        ),
        "a billion pages": (good.replace(b"/Count 1", b"/Count 1000000000"), "ok"),
        "a page of 10**12 points": (good.replace(b"600 800", b"1e12 1e12"), "ok"),
        "a page of no size": (good.replace(b"600 800", b"0 0"), "ok"),
        "no bytes": (b"", "unsupported"),
        "no end": (good[: good.index(b"xref\n")], "corrupt"),
        "a lock without a key": (
            good.replace(b"/Root", b"/Encrypt<</Filter/Standard/V 9/R 9>>/Root"),
            "encrypted",
        ),
        "a font that is not there": (good.replace(b"/F 5 0 R", b""), "ok"),
    }
    parts: dict[str, tuple[list[bytes], bytes, str]] = {
        "pages within themselves": (
            [_PAGE, text],
            b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>",
            "no_text",
        ),
        "no pages": ([_PAGE], b"<</Type/Pages/Kids[]/Count 0>>", "corrupt"),
        "a page 6000 times": (
            [_PAGE, text, _FONT],
            b"<</Type/Pages/Kids[%s]/Count 6000>>" % (b"3 0 R " * 6000),
            "too_large",
        ),
        "a length that is itself": (
            [_PAGE, b"<</Length 4 0 R>>" + text[text.index(b"\nstream") :], _FONT],
            _PAGES,
            "ok",
        ),
        "half a million brackets": (
            [_PAGE, text, _FONT, b"[" * 500_000 + b"]" * 500_000],
            _PAGES,
            "ok",
        ),
        "a million saved states": ([_PAGE, _stream(b"q " * 1_000_000 + _DRAWN)], _PAGES, "ok"),
        "a picture of 10 GB": (
            [
                _PAGE.replace(b"/Font<</F 5 0 R>>", b"/XObject<</I 5 0 R>>"),
                _stream(b"600 0 0 800 0 0 cm /I Do"),
                _stream(
                    bytes(100),
                    b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/BitsPerComponent 8"
                    b"/ColorSpace/DeviceRGB",
                ),
            ],
            _PAGES,
            "no_text",
        ),
    }
    outlines = {
        "an outline 20000 deep": [
            b"<</Title(%d)/Parent %d 0 R/First %d 0 R/Last %d 0 R/Count 1/Dest[3 0 R /Fit]>>"
            % (number, number - 1, number + 1, number + 1)
            for number in range(6, 20_006)
        ],
        "an outline within itself": [
            b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>",
            b"<</Title(A)/Parent 6 0 R/First 7 0 R/Last 7 0 R/Next 7 0 R/Dest[3 0 R /Fit]>>",
        ],
    }
    labels = {
        "page labels within themselves": b"<</Kids[6 0 R 6 0 R]>>",
        "a label of a billion letters": b"<</Nums[0<</S/a/St 26000000000>>]>>",
        "page labels that are none": b"<</Nums 7 /Kids[null 9]>>",
    }
    expected = {whole: "ok"}
    for name, tree in labels.items():
        path = folder / f"{name}.pdf"
        expected[_write(path, [_PAGE, text, _FONT, tree], catalog=_LABELLED)] = "ok"
    for name, entries in outlines.items():
        path = folder / f"{name}.pdf"
        expected[_write(path, [_PAGE, text, _FONT, *entries], catalog=_OUTLINED)] = "ok"
    for name, (content, outcome) in contents.items():
        path = folder / f"{name}.pdf"
        path.write_bytes(content)
        expected[path] = outcome
    for name, (objects, pages, outcome) in parts.items():
        expected[_write(folder / f"{name}.pdf", objects, pages=pages)] = outcome
    return expected


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(data), entries, data)


def _write(
    path: Path, objects: Sequence[bytes], *, pages: bytes = _PAGES, catalog: bytes = _CATALOG
) -> Path:
    """Write a file of one page, the first of the objects, which has the number 3."""
    content, offsets = b"%PDF-1.7\n", []
    for number, value in enumerate([catalog, pages, *objects], 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(offsets) + 1
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(content))
    head = b"xref\n0 %d\n0000000000 65535 f \n" % size
    path.write_bytes(content + head + table + trailer)
    return path
