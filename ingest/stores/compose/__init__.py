"""Compose files that start a Weaviate: one node, or three that keep every collection together."""

from importlib import resources

FILES = {1: "one-node.yaml", 3: "three-nodes.yaml"}


def compose_file(nodes: int) -> str:
    """Read the compose file of that many nodes."""
    return resources.files(__name__).joinpath(FILES[nodes]).read_text(encoding="utf-8")
