"""Dicts, lists and tuples that hold frames, arrays, tensors, files or models.

The containers are typed JSON. Each frame, array, tensor, file or folder in them is a blob of its own, stored once
however often it occurs and whichever container holds it. Whatever is left can only be pickled; it shares one pickle, so
that objects that know each other still do when they come back.
"""

import json
from collections import OrderedDict
from typing import Any, Final

from mlrepro.store.blobs import Blob, Sink, Source
from mlrepro.store.formats import candidates, get_format, json_value, pickle_value
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue

_SCHEMA: Final = 1
_CONTAINERS: Final = frozenset({dict, list, tuple, OrderedDict})


class _Leaves:
    """What JSON cannot hold, in the order it is met."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.pickled: list[Any] = []

    def __call__(self, value: Any) -> dict[str, Any]:
        if candidates(value) == ("json", "pickle"):
            self.pickled.append(value)
            return {"$": "pickled", "v": len(self.pickled) - 1}
        self.parts.append(value)
        return {"$": "part", "v": len(self.parts) - 1}


def _write(value: Any, sink: Sink) -> Written:
    from mlrepro.store.writing import write

    if type(value) not in _CONTAINERS:
        raise NotThisFormatError("it is not a dict, list or tuple")
    leaves = _Leaves()
    try:
        skeleton = json_value.encode(value, leaves)
    except RecursionError as error:
        raise NotThisFormatError("it is nested too deeply, or contains itself") from error
    if not leaves.parts:
        raise NotThisFormatError("it holds no frame, array, tensor or file")
    references: set[str] = set()
    manifest: dict[str, Any] = {"schema": _SCHEMA, "tree": skeleton, "parts": []}
    names: dict[str, str] = {}
    size = 0
    if leaves.pickled:
        # First, because it is what may turn out not to be storable.
        with sink.part() as part:
            references.update(pickle_value.dump(leaves.pickled, part))
        assert part.blob is not None
        manifest["pickled"] = {"sha256": part.blob.digest, "size": part.blob.size}
        size += part.blob.size
    for number, leaf in enumerate(leaves.parts):
        stored = write(leaf, sink.beside())
        size += stored.size + stored.parts_size
        references.update(stored.references)
        if "name" in stored.summary:
            names[str(number)] = stored.summary["name"]
        manifest["parts"].append(
            {
                "format": stored.format,
                "python_type": stored.python_type,
                "sha256": stored.content_hash,
                "size": stored.size,
            }
        )
    sink.write(json_value.to_bytes(manifest))
    summary = json_value.summarize(value) | {"parts": len(leaves.parts)} | ({"names": names} if names else {})
    return Written(summary=summary, references=tuple(sorted(references)), parts_size=size)


def _read(source: Source, stored: StoredValue, _as_type: type | None) -> Any:
    manifest = json.loads(bytes(source.read()))
    if manifest.get("schema") != _SCHEMA:
        raise ValueError("the value was stored by a later version of mlrepro: update it")
    pickled = pickle_value.load(source.part(_blob(manifest["pickled"]))) if "pickled" in manifest else []
    names = stored.summary.get("names", {})

    def leaf(data: Any) -> Any:
        if data["$"] == "pickled":
            return pickled[data["v"]]
        part = manifest["parts"][data["v"]]
        name = names.get(str(data["v"]))
        described = StoredValue(
            content_hash=part["sha256"],
            format=part["format"],
            python_type=part["python_type"],
            size=part["size"],
            summary={} if name is None else {"name": name},
        )
        return get_format(part["format"]).read(source.part(_blob(part)), described, None)

    return json_value.decode(manifest["tree"], leaf)


def _blob(entry: dict[str, Any]) -> Blob:
    return Blob(entry["sha256"], entry["size"])


FORMAT = Format("tree", ".json", _write, _read)
