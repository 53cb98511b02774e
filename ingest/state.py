"""The state of a collection: its embedder, its files, and whether it is finished."""

from collections.abc import Sequence
from typing import Any

from ingest.card import build_card
from ingest.collection import Collection
from ingest.errors import StoreMismatchError
from ingest.manifest import Manifest, Record, peek, reconcile
from ingest.stores.base import Store, StoredDocument

NOTE = "state"
LEDGER = "ledger"  # what versions before the manifest kept: embedder, finished, sources
_MADE = ("card", "calibration")


def known_records(
    store: Store, stored: Sequence[StoredDocument], manifest: Manifest | None = None
) -> dict[str, Record]:
    """Read what is known of the files, set right by what the store holds.

    Without an open manifest it is looked into where it lies, and not changed.
    """
    ledger = store.note(LEDGER) or {}
    noted = manifest.records() if manifest else peek(store.place)
    records = reconcile(noted, stored, dict(ledger.get("sources", {})))
    if manifest:
        manifest.save(each for path, each in records.items() if each != noted.get(path))
    return records


def check_embedder(collection: Collection, stored: Sequence[StoredDocument]) -> None:
    """Raise StoreMismatchError where the collection was made by another embedder."""
    before, now = _note(collection).get("embedder"), collection.embedder.name
    if before and before != now and stored:
        raise StoreMismatchError(
            f"This collection was embedded with {before}, the embedder now is {now}: vectors "
            f"of two models cannot be compared. Ingest into another collection, or set the "
            f"embedder back to {before}."
        )


def unfinished(collection: Collection) -> bool:
    """Tell whether indexes, card and calibration lag behind what is stored."""
    note = _note(collection)
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
        store.put_note("card", build_card(store).to_dict())
        collection.calibrate()
    else:
        for name in _MADE:
            store.put_note(name, {})
    store.put_note(NOTE, {"embedder": collection.embedder.name, "finished": True})


def _note(collection: Collection) -> dict[str, Any]:
    return collection.store.note(NOTE) or collection.store.note(LEDGER) or {}
