"""Store a value, read it, and see that nothing but the value counts."""

from typing import Any

from mlrepro.store import StoredValue, open_store

STORE = open_store("memory://round-trips")


def round_trip(value: Any, **kwargs: Any) -> tuple[StoredValue, Any]:
    """The stored value's description and the value as it is read."""
    stored = STORE.write_value(value, **kwargs)
    assert StoredValue.from_json(stored.to_json()) == stored
    loaded = STORE.read_value(stored)
    assert STORE.hash_value(loaded, **kwargs).content_hash == stored.content_hash, "reading changed the content"
    return stored, loaded
