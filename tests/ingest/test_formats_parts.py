"""Parts: running text is divided where its headings are, and every offset is exact."""

from formats_fakes import HOTELS
from hypothesis import given
from hypothesis import strategies as st
from ingest_fakes import token_spans

from ingest.chunking import chunk_document
from ingest.documents import Document
from ingest.formats.html import html_blocks, parse
from ingest.formats.parts import LONG, Block, divide
from ingest.formats.text import text_blocks

BLOCKS = st.lists(
    st.builds(
        Block,
        text=st.text("ab .\n1", min_size=1).map(lambda text: f"x{text}".strip()),
        level=st.sampled_from([0, 0, 0, 1, 2, 3]),
        gap=st.booleans(),
    ).map(lambda block: Block(" ".join(block.text.split()), block.level) if block.level else block),
    max_size=30,
)
TAGS = st.sampled_from("p b h1 h2 ul ol li table tr td pre br div nav main footer dl dd".split())
PAGES = st.lists(
    st.one_of(TAGS.map("<{}>".format), TAGS.map("</{}>".format), st.text("a1 \n|.", max_size=9))
).map("".join)


def chunks_of(document: Document) -> list[str]:
    chunks = chunk_document(
        document, token_spans=token_spans, chunk_tokens=16, embedder="e", pipeline="p"
    )
    texts = {page.number: page.text for page in document.pages}
    for chunk in chunks:
        assert chunk.text == texts[chunk.page][chunk.start : chunk.end]
    return [chunk.text for chunk in chunks]


def document_of(blocks: list[Block]) -> Document:
    pages, headings = divide(blocks)
    return Document("d", "a.md", "T", pages, headings, paged=False)


def test_a_short_text_stays_one_part() -> None:
    document = document_of([Block("Rules", 1), Block("A", 2), Block("a."), Block("B", 2)])
    assert len(document.pages) == 1
    assert document.pages[0].text == "Rules\n\nA\n\na.\n\nB"


def test_a_long_text_is_divided_at_the_topmost_headings_that_repeat() -> None:
    blocks = [Block("Rules", 1)]
    for name in ("Hotels", "Meals", "Trains"):
        blocks += [Block(name, 2), Block(HOTELS * 30), Block("More", 3), Block(HOTELS)]
    document = document_of(blocks)
    starts = [page.text.split("\n")[0] for page in document.pages]
    assert starts == ["Rules", "Meals", "Trains"]
    assert [heading.page for heading in document.headings] == [1, 1, 1, 2, 2, 3, 3]


def test_a_heading_never_ends_a_part_and_a_paragraph_stays_whole() -> None:
    document = document_of([Block("One " * 1400), Block("Hotels", 4), Block("Two " * 1400)])
    assert [page.text[:6] for page in document.pages] == ["One On", "Hotels"]
    assert document.headings[0].page == 2


def test_what_repeats_at_the_edges_of_parts_is_not_taken_for_a_running_header() -> None:
    blocks = []
    for number in range(5):
        blocks += [Block(f"Step {number}", 1), Block("Same words everywhere."), Block("b " * 900)]
    document = document_of(blocks)
    assert len(document.pages) == 5
    assert sum("Same words everywhere." in text for text in chunks_of(document)) == 5


def test_a_passage_under_a_title_and_a_heading_is_named_by_the_heading() -> None:
    document = document_of([Block("T", 1), Block("Hotels", 2), Block("Ask the desk.")])
    [chunk] = chunk_document(
        document, token_spans=token_spans, chunk_tokens=16, embedder="e", pipeline="p"
    )
    assert (chunk.text, chunk.heading) == ("T\n\nHotels\n\nAsk the desk.", "Hotels")


def test_an_endless_line_is_cut_and_nothing_of_it_lost() -> None:
    for text in ("word " * 9000, "x" * 45_000, "line of it\n" * 4000):
        document = document_of([Block(text)])
        assert all(len(page.text) <= LONG for page in document.pages)
        assert "".join("".join(page.text.split()) for page in document.pages) == "".join(
            text.split()
        )


@given(BLOCKS)
def test_offsets_are_exact_and_everything_is_covered(blocks: list[Block]) -> None:
    document = document_of(blocks)
    texts = {page.number: page.text for page in document.pages}
    assert list(texts) == list(range(1, len(texts) + 1))
    levelled = [block.text for block in blocks if block.level]
    assert [heading.text for heading in document.headings] == levelled
    for heading in document.headings:
        assert texts[heading.page].startswith(heading.text, heading.start)
    kept = "".join(text for text in texts.values())
    assert "".join(kept.split()) == "".join("".join(block.text.split()) for block in blocks)
    chunks_of(document)


@given(PAGES)
def test_any_html_gives_blocks_with_exact_offsets(content: str) -> None:
    blocks = html_blocks(parse(content, "a.html"))
    assert all(block.text.strip() for block in blocks)
    chunks_of(document_of(blocks))


@given(st.text())
def test_any_text_gives_blocks_with_exact_offsets(content: str) -> None:
    blocks = text_blocks(content)
    assert all(block.text.strip() for block in blocks)
    chunks_of(document_of(blocks))
