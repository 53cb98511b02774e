"""The state of a collection: its embedder, its files, and whether it is finished."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingest.card import refresh_card
from ingest.collection import LEDGER, NOTE, Collection, made_by, state_of
from ingest.errors import StoreMismatchError
from ingest.manifest import Manifest, Record, peek, reconcile, renamed
from ingest.profiles import NOTE as PROFILES
from ingest.profiles import refresh_profiles
from ingest.stores.base import Store, StoredDocument

CUT_ANEW = "cut_anew"  # the documents whose passages are too long for a later embedder
_MADE = ("card", "calibration")
_SETTLED = {"verified", "duplicate", "failed", "quarantined"}


def survey(
    store: Store, manifest: Manifest | None = None
) -> tuple[list[StoredDocument], dict[str, Record]]:
    """Give what the store holds, and what is known of the files, set right by that.

    Without an open manifest it is looked into where it lies, and not changed. Where it is settled
    and accounts for all chunks by their number, the store is not read through.
    """
    noted = manifest.records() if manifest else peek(store.place)
    stored = _accounted(noted, store.count())
    if stored is not None:
        return stored, noted
    stored = store.documents()
    ledger = store.note(LEDGER) or {}
    records = reconcile(noted, stored, dict(ledger.get("sources", {})))
    if manifest:
        manifest.save(
            each for path, each in records.items() if each.is_placed and each != noted.get(path)
        )
    return stored, records


def check_embedder(collection: Collection, stored: Sequence[StoredDocument]) -> None:
    """Raise StoreMismatchError where the collection was made by another embedder."""
    before, now = made_by(collection.store), collection.embedder.name
    if before and before != now and stored:
        raise StoreMismatchError(
            f"This collection was embedded with {before}, the embedder now is {now}: vectors "
            f"of two models cannot be compared. `agentlab store reembed` embeds it anew with {now} "
            f"while it is searched as before; else set the embedder back to {before}, or ingest "
            "into another collection."
        )


def rename_records(store: Store, manifest: Manifest) -> None:
    """Note that a collection was embedded anew, so that its files need not be read again.

    What the new embedder does not read to the end is noted as before: the next ingest cuts it anew.
    """
    embedder, later = made_by(store), (store.note(CUT_ANEW) or {}).get("sources", ())
    if embedder is None:
        return
    manifest.save(
        replace(each, pipeline=renamed(each.pipeline, embedder))
        for each in manifest.records().values()
        if each.state == "verified" and each.source not in later
    )


def unfinished(collection: Collection) -> bool:
    """Tell whether indexes, card and calibration lag behind what is stored."""
    note = state_of(collection.store)
    made = all(collection.store.note(name) for name in _MADE)
    empty = not collection.store.count()
    return not (note.get("finished", empty) and (made or empty))


def begin(collection: Collection) -> None:
    """Note that the collection is about to change."""
    collection.store.put_note(NOTE, {"embedder": collection.embedder.name, "finished": False})


def finish(collection: Collection) -> None:
    """Bring the indexes, the card and the calibration up to date."""
    store = collection.store
    store.finish()
    if store.count():
        card = refresh_card(store, survey(store)[0])
        refresh_profiles(store, card, _metadata(store))
        collection.calibrate()
    else:
        for name in (*_MADE, PROFILES):
            store.put_note(name, {})
    # By a new stamp a process that searches meanwhile sees that what it has read is out of date.
    state = {"embedder": collection.embedder.name, "finished": True, "stamp": uuid.uuid4().hex}
    store.put_note(NOTE, state)


def _metadata(store: Store) -> dict[str, dict[str, str]]:
    """Give what the files of this machine say of themselves, by source."""
    records = peek(store.place).values()
    return {each.source: json.loads(each.facts) for each in records if each.facts}


def _accounted(records: Mapping[str, Record], chunks: int) -> list[StoredDocument] | None:
    """Give what the records say is stored; None where a run broke off, or the numbers differ."""
    held = [each for each in records.values() if each.held]
    if any(each.state not in _SETTLED for each in records.values()):
        return None
    if sum(each.chunks for each in held) != chunks:
        return None
    return [
        StoredDocument(each.held, each.source, each.title, each.pages, each.chunks)
        for each in sorted(held, key=lambda each: each.source)
    ]
