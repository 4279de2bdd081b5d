"""Applying trust: which records of a store count, and which of its pickles are loaded."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store.blobs import Blob, Blobs, Source
from mlrepro.store.formats.parts import has_pickles
from mlrepro.store.results import FoundResult, Refusal, Usable, names, values_of
from mlrepro.store.stored import StoredValue
from mlrepro.store.trust import Trust, refused_pickle

_MAY_HOLD_PICKLES: Final = frozenset({"pickle", "tree"})

_UNREADABLE: Final = (KeyError, TypeError, AttributeError, ValueError, StoreError)
"""What reading a record raises that is none: somebody edited it, or a disk failed."""

LookUp = Callable[[str, str, Usable], FoundResult | None]
"""From an input hash, a scope and what is wanted to a record that counts."""


class Vouching:
    """Applies a store's trust to what lies in it.

    Args:
        trust: Whom the store trusts.
        scope: The store's own scope.
        blobs: Its blobs; a tree's manifest tells whether there are pickles in it.
        look_up: Finds a record that counts.
    """

    def __init__(self, trust: Trust, scope: str, blobs: Blobs, look_up: LookUp) -> None:
        self._trust = trust
        self._home = trust.home or scope
        self._blobs = blobs
        self._look_up = look_up

    def source(self, stored: StoredValue) -> Source:
        """Where to read a value; pickles in it are refused unless somebody vouches for them."""
        return self._source(stored, refuses_pickles=self._why_no_pickles(stored))

    def refused(self, stored: StoredValue) -> str | None:
        """Why a value would not be loaded because it is a pickle, or holds one; None if it would.

        Raises:
            StoreError: The store failed; a tree's manifest is gone or damaged.
        """
        why = self._why_no_pickles(stored)
        return why if why is not None and has_pickles(self._source(stored), stored) else None

    def refusal(self, input_hash: str, *, to_load: bool = False) -> Refusal:
        """Says why a record under an input hash does not count, or does not count for who loads its values."""

        def why(scope: str, record: dict[str, Any]) -> str | None:
            refused = self._trust.refusal(scope, input_hash, record)
            if refused is None and to_load and not self._trust.is_vouched(self._home, scope, input_hash, record):
                return self._pickle_in(record, scope)
            return refused

        return why

    def is_vouched(self, input_hash: str | None, record: Mapping[str, Any] | None, scope: str) -> bool:
        """Whether somebody who is trusted vouches for a record of a scope."""
        return self._trust.is_vouched(self._home, scope, input_hash, record)

    def _source(self, stored: StoredValue, *, refuses_pickles: str | None = None) -> Source:
        return Source(self._blobs, Blob(stored.content_hash, stored.size), refuses_pickles=refuses_pickles)

    def _why_no_pickles(self, stored: StoredValue) -> str | None:
        """Why pickles in a value are not loaded. The record is read only where the value can hold one."""
        origin = stored.origin
        if origin is None or stored.format not in _MAY_HOLD_PICKLES:
            return None
        record = None
        if self._trust.needs_record(self._home, origin.scope) and origin.input_hash is not None:
            found = self._look_up(origin.input_hash, origin.scope, lambda each: names(each, stored))
            record = None if found is None else found.record
        if self._trust.is_vouched(self._home, origin.scope, origin.input_hash, record):
            return None
        return refused_pickle(f"The object {stored.content_hash[:12]}", origin.scope, self._home)

    def _pickle_in(self, record: Mapping[str, Any], scope: str) -> str | None:
        """What to tell of a pickle that a record names; None if it names none."""
        try:
            values = list(values_of(record))
        except _UNREADABLE:
            return None  # who asked for the record says that it is garbled
        for stored in values:
            try:
                if has_pickles(self._source(stored), stored):
                    return refused_pickle(f"its object {stored.content_hash[:12]}", scope, self._home)
            except (BlobMissingError, BlobDamagedError) as error:
                return str(error)  # it might be a pickle's, and come back before it is looked for again
        return None
