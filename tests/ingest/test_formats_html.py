"""Reading HTML: what a person reads of a page is kept, the rest is not."""

from pathlib import Path

import pytest
from formats_fakes import HOTELS, headings_of, read, text_of

from ingest.errors import CorruptError, NoTextError, UnsupportedError


def page(body: str, head: str = "<title>Rules</title>") -> str:
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def test_paragraphs_and_headings_come_in_order(tmp_path: Path) -> None:
    body = f"<h1>All rules</h1><p>For\n  <b>every</b>one.<h2>Hotels</h2><p>{HOTELS}<br>Always."
    document = read(tmp_path / "a.html", page(body))
    assert document.title == "Rules"
    assert text_of(document) == f"All rules\n\nFor everyone.\n\nHotels\n\n{HOTELS}\nAlways."
    assert headings_of(document) == ["All rules", "Hotels"]


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>secret</script>",
        "<style>.secret {}</style>",
        "<nav><a href='/'>secret</a></nav>",
        "<aside>secret</aside>",
        "<footer>secret</footer>",
        "<noscript>secret</noscript>",
        "<template><p>secret</p></template>",
        "<svg><text>secret</text></svg>",
        "<button>secret</button>",
        "<select><option>secret</select>",
        "<!-- secret -->",
        "<p hidden>secret</p>",
        "<p style='color: red; display: none'>secret</p>",
        "<p style='visibility:hidden'>secret</p>",
        "<span aria-hidden='true'>secret</span>",
        "<div role='navigation'>secret</div>",
        "<dialog>secret</dialog>",
    ],
)
def test_what_a_reader_does_not_see_is_left_out(tmp_path: Path, hidden: str) -> None:
    document = read(tmp_path / "a.html", page(f"<p>Before.</p>{hidden}<p>After.</p>"))
    assert text_of(document) == "Before.\n\nAfter."


def test_a_footer_and_a_note_inside_an_article_belong_to_it(tmp_path: Path) -> None:
    body = "<article><p>Text.</p><aside>Note.</aside><footer>Signed.</footer></article>"
    assert text_of(read(tmp_path / "a.html", page(body))) == "Text.\n\nNote.\n\nSigned."


def test_the_main_part_is_taken_where_the_page_marks_one(tmp_path: Path) -> None:
    body = f"<div>Offers of the day</div><main><h1>Hotels</h1><p>{HOTELS * 2}</p></main>"
    assert "Offers" not in text_of(read(tmp_path / "a.html", page(body)))
    empty = "<div>All that there is to say</div><main></main>"
    assert text_of(read(tmp_path / "b.html", page(empty))) == "All that there is to say"


def test_a_table_of_data_gives_a_line_for_each_row(tmp_path: Path) -> None:
    body = """<p>See:</p><table><caption>Limits</caption><thead><tr><th></th><th>Night</th></tr>
        </thead><tr><td>Northhaven</td><td><ul><li>142</li><li>99</li></ul></td></tr>
        <tr><td> </td><td></td></tr></table><p>That is all.</p>"""
    text = text_of(read(tmp_path / "a.html", page(body)))
    assert text == "See:\n\nLimits\n| Night\nNorthhaven: Night 142 99.\n\nThat is all."


def test_a_table_that_lays_out_a_page_is_read_through(tmp_path: Path) -> None:
    body = f"<table><tr><td><h2>Hotels</h2><p>{HOTELS}</p></td><td>Aside.</td></tr></table>"
    document = read(tmp_path / "a.html", page(body))
    assert text_of(document) == f"Hotels\n\n{HOTELS}\n\nAside."
    assert headings_of(document) == ["Hotels"]


def test_lists_keep_their_numbers_and_depth(tmp_path: Path) -> None:
    body = "<p>Do:</p><ul><li>One<li><p>Two<ol start=3><li>a<li>b</ol></ul><p>Done."
    text = text_of(read(tmp_path / "a.html", page(body)))
    assert text == "Do:\n\n- One\n- Two\n  3. a\n  4. b\n\nDone."


def test_code_keeps_its_lines_and_spaces(tmp_path: Path) -> None:
    body = "<p>So:</p><pre><code>def f(x):\n    return   x\n</code></pre>"
    text = text_of(read(tmp_path / "a.html", page(body)))
    assert text == "So:\n\ndef f(x):\n    return   x"


def test_the_sign_that_links_to_a_heading_is_no_part_of_it(tmp_path: Path) -> None:
    body = "<h2>Hotels<a href='#hotels'>¶</a></h2><p>Text."
    assert headings_of(read(tmp_path / "a.html", page(body))) == ["Hotels"]


def test_a_page_without_a_title_is_called_by_its_first_heading_or_its_name(tmp_path: Path) -> None:
    assert read(tmp_path / "a.html", page("<h2>Hotels</h2>Text", head="")).title == "Hotels"
    assert read(tmp_path / "my_rules.htm", "only text").title == "my rules"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('<meta charset="shift_jis"><p>日本語'.encode("shift_jis"), "日本語"),
        (b'<?xml version="1.0" encoding="iso-8859-1"?><p>K\xf6ln \x96 ja', "Köln – ja"),
        ("\ufeff<meta charset=latin-1><p>Köln".encode(), "Köln"),
        ("<p>Köln ohne Angabe".encode(), "Köln ohne Angabe"),
        ("<meta charset=utf-16><p>Köln".encode(), "Köln"),
        ("<meta charset=klingon><p>Köln".encode(), "Köln"),
    ],
)
def test_a_page_is_decoded_as_it_declares(tmp_path: Path, content: bytes, text: str) -> None:
    document = read(tmp_path / "a.html", content)
    assert (text_of(document), document.remark) == (text, "")


def test_a_wrong_declaration_is_remarked_upon(tmp_path: Path) -> None:
    document = read(tmp_path / "a.html", b"<meta charset=shift_jis><p>K\xf6ln \xff\xfe")
    assert "Köln" in text_of(document)
    assert document.remark.startswith("neither shift_jis nor UTF-8: read as windows-1252")


def test_ten_thousand_tags_inside_each_other_are_read(tmp_path: Path) -> None:
    for tag in ("<div>", "<b>", "<table><tr><td>", "<blockquote>", "<ul><li>"):
        assert "deep down" in text_of(read(tmp_path / "a.html", tag * 10_000 + "deep down"))


def test_absurd_depth_is_refused_before_it_takes_forever(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="more than 20,000 elements within each other"):
        read(tmp_path / "a.html", "<div>" * 1_000_000 + "deep down")


def test_a_page_that_a_script_fills_in_has_no_text(tmp_path: Path) -> None:
    with pytest.raises(NoTextError, match="save it from a browser as PDF"):
        read(tmp_path / "a.html", page("<div id=root></div><script>draw()</script>"))


def test_a_picture_named_html_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="not text"):
        read(tmp_path / "a.html", bytes(range(256)) * 9)
