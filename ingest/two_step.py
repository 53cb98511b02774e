"""Two-step search: the documents that a question is about, then the passages within them.

The second step is fused with the direct search of the whole collection, weighed by how sure the
first one is of its documents: so a wrong guess at them costs little.
"""

from dataclasses import replace
from typing import Literal

from ingest.embedding import Embedder
from ingest.profiles import Profiles
from ingest.routing import Route, route
from ingest.stores.base import Hit, Store, Where
from ingest.terms import with_lines

TwoStep = Literal["auto", "always", "never"]
LEAST_DOCUMENTS, LARGE = 20, 2_000
"""The documents and passages from which on `auto` searches in two steps."""
_WEIGHTS = {"alike": 0.1, "name": 0.3, "series": 0.6, "certain": 0.85}
_MEANT, _SHARP = 0.95, 3
_MEANING_WITHIN = 0.4  # of what is left to words
_DEPTH = 50


def search_in_steps(
    store: Store,
    embedder: Embedder,
    query: str,
    *,
    alpha: float,
    limit: int,
    where: Where,
    profiles: Profiles,
) -> list[Hit]:
    """Search the whole collection and the documents that are meant, and fuse what was found.

    Where it is certain which documents are meant, these are searched for the rest of the question,
    and more by meaning: what tells documents apart has done its part, and words that all passages
    of a document share say nothing of its passages.
    """
    vector = embedder.encode([query])[0]
    chosen = route(query, vector, profiles)
    depth = max(limit, _DEPTH)
    direct = store.hybrid(query, vector, alpha=alpha, limit=depth, where=where)
    sources = [each for each in chosen.degrees if each in where.sources or not where.sources]
    if not sources:
        return direct[:limit]
    weight = _WEIGHTS[chosen.sure]
    if chosen.sure in ("series", "certain"):
        types = {each.facts.get("type", "") for each in profiles.all if each.source in sources}
        query = with_lines(chosen.rest, types)
        vector = embedder.encode([query])[0]
        alpha += _MEANING_WITHIN * (1 - alpha)
    # Reports of other years have nearly the same pages: searched together with the one that is
    # meant, they would leave it hardly a place among the candidates.
    best = [each for each in sources if chosen.degrees[each] >= _MEANT]
    others = [each for each in sources if chosen.degrees[each] < _MEANT]
    tiers = [best, others] if chosen.sure == "certain" else [sources]
    within = [
        hit
        for tier in tiers
        if tier
        for hit in store.hybrid(
            query, vector, alpha=alpha, limit=depth, where=replace(where, sources=tuple(tier))
        )
    ]
    found: dict[str, Hit] = {}
    for hit in direct:
        found[hit.chunk.id] = replace(hit, score=(1 - weight) * hit.score)
    for hit in within:
        degree = chosen.degrees[hit.chunk.source]
        if chosen.sure == "certain":
            degree **= _SHARP
        before = found.get(hit.chunk.id, replace(hit, score=0.0))
        found[hit.chunk.id] = replace(before, score=before.score + weight * degree * hit.score)
    order = sorted(found.values(), key=lambda hit: (-hit.score, hit.chunk.id))[:limit]
    return [replace(hit, why=(*hit.why, *_why(hit, chosen))) for hit in order]


def _why(hit: Hit, chosen: Route) -> tuple[str, ...]:
    reason = chosen.why.get(hit.chunk.source)
    return (f"its document: {reason}",) if reason else ()
