"""How the routers that ship take lines that no training saw: small talk, and the library itself.

    python tests/bench/talk_intents.py

Each line is routed as if the library hardly matched it. Small talk should call no tool and get the
reply of its intent; a question about the library should list it; what only sounds like one should
not.
"""

from agentlab.library import open_router
from agentlab.router import LIBRARY, LISTS, first_calls, reply_to
from agentlab.settings import Settings
from agentlab.small_talk import all_said
from agentlab.starter.routes import about_library


def main() -> None:
    """Print how many of each are right."""
    router = open_router(Settings())
    said = [(each, router.kinds(each.text)) for each in all_said(held_out=True)]
    untouched = sum(first_calls(kinds, "weak") == () for _, kinds in said)
    replied = sum(reply_to(kinds) == each.reply for each, kinds in said)
    print(f"talk: {untouched} of {len(said)} call nothing, {replied} get their intent's reply")
    for wanted in (LIBRARY, "ask"):
        lines = [text for text, kind in about_library(held_out=True) if kind == wanted]
        listed = sum(first_calls(router.kinds(text), "weak") == (LISTS,) for text in lines)
        print(f"{wanted}: {listed} of {len(lines)} list the documents")


if __name__ == "__main__":
    main()
