"""The starter model: a small base taught to work the agent's tools.

conversations.py   training conversations, built with the agent's own prompts and search
handbooks.py       invented handbooks for them
documents.py       invented documents of many kinds: minutes, price lists, contracts, timetables...
document_kinds/    what each kind says and what can be asked about it
adapter/           the adapter that those conversations trained
"""
