"""Reading every record of a scope once: what each names, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store import records
from mlrepro.store.formats.parts import HAVE_PARTS
from mlrepro.store.housekeeping.inventory import Inventory, Progress, Row
from mlrepro.store.housekeeping.naming import digests_in, entry_in, parts_found, values_in
from mlrepro.store.housekeeping.side_by_side import side_by_side
from mlrepro.store.results import values_of
from mlrepro.store.stored import StoredValue

NUMBERED: Final = ("version", "channel", "pin", "location", "gc", "replacement", "deviation")
"""Kinds whose entries have numbers without gaps, and are checked for them."""

_READ: Final = "NOT trash AND kind IN ('result', 'derivation', {})".format(", ".join(f"'{kind}'" for kind in NUMBERED))
_SINGLE: Final = (("code", "sources"), ("environment", "freeze"))
"""Where a result's record names a blob by its digest alone."""


class Reading:
    """Reads the records of a scope into the inventory's tables ``mentioned``, ``named`` and ``owners``.

    Args:
        found: The scope, listed.
        scopes: Where manifests are looked for.
        progress: Told how many were read.

    Attributes:
        count: Records that were read.
        counts: Results, and versions, of each asset.
    """

    def __init__(self, found: Inventory, scopes: tuple[str, ...], progress: Progress | None) -> None:
        self.count = 0
        self.counts: dict[str, Counter[str]] = {"result": Counter(), "version": Counter()}
        self._found = found
        self._scopes = scopes
        self._progress = progress

    def run(self) -> Iterator[tuple[Row, str]]:
        """Read them.

        Yields:
            Each record that is not as it should be, and why.
        """
        self._found.db.execute("CREATE INDEX IF NOT EXISTS named_by_digest ON named (digest)")
        for row, data in side_by_side(self._found.read, self._found.rows(_READ)):
            if data is None:
                continue  # gone since the listing
            self.count += 1
            try:
                body, of, assets = self._parsed(row, data)
            except ValueError as error:
                yield row, str(error)
                continue
            self._found.add("mentioned", ((each,) for each in digests_in(data)))
            values = list(values_in(body))
            digests = {each.content_hash for each in values} | set(_single(body))
            self._found.add("owners", ((digest, asset) for digest in digests for asset in assets))
            if row.kind in ("result", "version"):
                self.counts[row.kind].update(assets)
            if self._counts(row):
                self._name(row, body, of, values)
            if self._progress:
                self._progress(f"records read in scope {self._found.scope}", self.count)
        self._parts()

    def _parsed(self, row: Row, data: bytes) -> tuple[dict[str, Any], str, list[str]]:
        """A record, what it belongs to in a person's words, and its assets; ValueError if it is none."""
        if row.kind == "derivation":
            return records.from_bytes(data), row.path, []
        if row.kind == "result":
            body = records.from_bytes(data)
            return body, _result_of(row.name, body), _assets(body)
        name, body = entry_in(data, self._found.scope, row.path.rpartition("/")[0], row.number)
        if row.kind in ("replacement", "deviation"):
            return body, _result_of(row.name, body), _assets(body)
        if row.kind == "version":
            asset = "/".join(name[1:-1])
            of = f"{asset}@v{row.number}" + (f" (partition {name[-1]})" if name[-1] != "_" else "")
            return body, of, [asset]
        return body, f"entry {row.number} of {'/'.join(name)}", []

    def _counts(self, row: Row) -> bool:
        """Whether what a record names has to be there: not where another record stands in for it."""
        if row.kind in ("derivation", "deviation", "gc"):
            return False
        if row.kind in ("result", "replacement"):
            newer = "SELECT 1 FROM objects WHERE kind = 'replacement' AND name = ? AND number > ? AND NOT trash"
            return self._found.one(newer, row.name, row.number) is None
        return True

    def _name(self, row: Row, body: dict[str, Any], of: str, values: list[StoredValue]) -> None:
        here = self._is_here(row, body)
        self._found.add("named", ((each.content_hash, each.size, row.path, of, row.modified, here) for each in values))
        if row.kind in ("result", "replacement"):
            self._found.add("named", ((each, None, row.path, of, row.modified, here) for each in _single(body)))
        several = [each for each in values if each.format in HAVE_PARTS]
        self._found.add("manifests", ((each.content_hash, _as_text(each)) for each in several))

    def _is_here(self, row: Row, body: dict[str, Any]) -> bool:
        """Whether a record's blobs are in its own scope: of a version whose result is elsewhere, they are there."""
        input_hash = body.get("input_hash")
        if row.kind != "version" or not isinstance(input_hash, str):
            return True
        return self._found.one("SELECT 1 FROM objects WHERE kind = 'result' AND name = ?", input_hash) is not None

    def _parts(self) -> None:
        """The parts of folders and trees are named by whoever names the whole."""
        stored = (_from_text(each[0]) for each in self._found.ask("SELECT stored FROM manifests"))
        for value, parts in side_by_side(self._read_parts, stored):
            if not parts:
                continue
            self._found.add("mentioned", ((part.digest,) for part in parts))
            sql = "SELECT path, of, modified, here FROM named WHERE digest = ? ORDER BY path DESC LIMIT 1"
            naming = list(self._found.ask(sql, value.content_hash))
            self._found.add("named", ((part.digest, part.size, *each) for part in parts for each in naming))
            owners = list(self._found.ask("SELECT asset FROM owners WHERE digest = ?", value.content_hash))
            self._found.add("owners", ((part.digest, asset) for part in parts for (asset,) in owners))

    def _read_parts(self, value: StoredValue) -> list[Any]:
        try:
            return parts_found(self._found.objects, self._scopes, value)
        except (BlobMissingError, BlobDamagedError):
            return []  # the manifest itself is reported


def _result_of(input_hash: str, body: dict[str, Any]) -> str:
    """What a result belongs to; ValueError if its record cannot stand there."""
    if "input_hash" in body and body["input_hash"] != input_hash:
        raise ValueError(f"it is the record of result {str(body['input_hash'])[:12]}")
    try:
        list(values_of(body))
    except (KeyError, TypeError, ValueError, AttributeError, StoreError) as error:
        raise ValueError(f"its outputs are not what a record says of outputs: {error!r}") from error
    assets = ", ".join(_assets(body))
    return f"{assets} (result {input_hash[:12]})" if assets else f"result {input_hash[:12]}"


def _assets(body: dict[str, Any]) -> list[str]:
    assets = body.get("assets")
    return [each for each in assets if isinstance(each, str)] if isinstance(assets, list) else []


def _single(body: dict[str, Any]) -> list[str]:
    """Blobs that a result's record names by their digests alone."""
    found = (part.get(name) for section, name in _SINGLE if isinstance(part := body.get(section), dict))
    return [each for each in found if isinstance(each, str)]


def _as_text(value: StoredValue) -> str:
    return records.to_bytes(value.to_json()).decode()


def _from_text(text: str) -> StoredValue:
    return StoredValue.from_json(records.from_bytes(text.encode()))
