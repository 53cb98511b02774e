from scripted import small_library

from agentlab.tools.contents import contents, contents_tool
from ingest.card import CardEntry, CollectionCard


def card_of(count: int) -> CollectionCard:
    entries = tuple(
        CardEntry(f"Report {n}", f"/r{n}.pdf", pages=n, chunks=9, sections=("Costs",), phrases=())
        for n in range(1, count + 1)
    )
    return CollectionCard(count, pages=1, chunks=9, entries=entries, phrases=())


def test_the_documents_are_listed_with_their_pages_and_topics() -> None:
    assert contents(card_of(2)) == (
        "The library holds 2 documents:\n- Report 1 (1 page): costs\n- Report 2 (2 pages): costs"
    )


def test_of_many_documents_the_first_are_listed_and_the_rest_counted() -> None:
    lines = contents(card_of(1200)).splitlines()
    assert lines[0] == "The library holds 1,200 documents:"
    assert len(lines) == 22
    assert lines[-1] == "- and 1,180 more, which `agentlab docs list` shows"


def test_an_empty_library_says_how_to_fill_it() -> None:
    assert "`agentlab ingest PATH`" in contents(None)
    assert contents(card_of(0)) == contents(None)


def test_the_tool_takes_no_arguments_and_finds_no_sources() -> None:
    tool = contents_tool(small_library().card)
    message = tool.invoke({"name": tool.name, "args": {}, "id": "1", "type": "tool_call"})
    assert message.text.startswith("The library holds 2 documents:\n- Product Guide (1 page)")
    assert message.artifact == ()
