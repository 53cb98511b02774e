"""The starter model: a small base taught to work the agent's tools.

conversations.py   training conversations, built with the agent's own prompts and search
handbooks.py       invented handbooks for them
adapter/           the adapter that those conversations trained
"""
