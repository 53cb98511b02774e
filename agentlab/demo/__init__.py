"""The demo: handbooks of an invented company, questions about them, and recorded web results.

texts/          what the handbooks say
handbooks/      the same as PDFs; `python -m agentlab.demo.render` makes them again
questions.json  the three questions that the demo asks
web.json        what the web answered on one day
fresh.json      questions that no tuning saw, for the evaluation
"""

from pathlib import Path

__all__ = ["FOLDER", "FRESH", "HANDBOOKS", "QUESTIONS", "WEB"]

FOLDER = Path(__file__).parent
HANDBOOKS = FOLDER / "handbooks"
QUESTIONS = FOLDER / "questions.json"
WEB = FOLDER / "web.json"
FRESH = FOLDER / "fresh.json"
