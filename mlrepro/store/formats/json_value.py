"""JSON that keeps Python's types apart: list and tuple, 1, 1.0, True and "1", bytes, dates, sets.

What JSON can say is said in plain JSON. Everything else is an object with the key ``$`` that names the type, and a dict
that has such a key itself, or keys that are not strings, is written as a list of pairs. So equal values of equal types
give equal bytes, and different ones never do. NaN is one value, whatever its bits.
"""

import base64
import datetime as dt
import json
import math
import uuid
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.formats.json_scalars import decode_numpy, decode_pandas, decode_zone, encode_scalar, encode_zone
from mlrepro.store.stored import StoredValue

Leaf = Callable[[Any], Any]
"""What takes a value that JSON cannot hold and returns its JSON, or raises NotThisFormatError."""

_PLAIN: Final = frozenset({str, bool, type(None)})
_HUGE: Final = 2**63
_NAMED_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def refuse(value: Any) -> Any:
    """The leaf of plain JSON: there are no others."""
    raise NotThisFormatError(f"a {type(value).__module__}.{type(value).__qualname__} is not a JSON-like value")


def encode(value: Any, leaf: Leaf = refuse) -> Any:
    """A value as what ``json`` can write.

    Args:
        value: Anything of None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, the standard
            library's dates, Decimal, Fraction, UUID, range, and numpy's and pandas' scalars.
        leaf: Called for everything else.

    Raises:
        NotThisFormatError: By ``leaf``.
        RecursionError: It is nested too deeply, or contains itself.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value, leaf)
    scalar = encode_scalar(value)
    return leaf(value) if scalar is None else scalar


def decode(data: Any, part: Callable[[Any], Any] | None = None) -> Any:
    """The value that ``encode`` was given.

    Args:
        data: What ``json`` read.
        part: Called with the object that a leaf was written as.

    Raises:
        ValueError: It names a type that this version does not know.
    """
    if type(data) is list:
        return [decode(item, part) for item in data]
    if type(data) is not dict:
        return data
    if "$" not in data:
        return {key: decode(item, part) for key, item in data.items()}
    decoder = _DECODERS.get(data["$"])
    if decoder is not None:
        return decoder(data, part)
    if part is not None:
        return part(data)
    raise ValueError(f"JSON of a later version: it holds a {data['$']!r}")


def to_bytes(data: Any) -> bytes:
    """JSON text of what ``encode`` returned, the same for the same."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates have no UTF-8; JSON can escape them.
        return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _tagged(tag: str, value: Any) -> dict[str, Any]:
    return {"$": tag, "v": value}


def _int(value: int, _: Leaf) -> Any:
    # json writes any int, but Python refuses decimal text of more than 4300 digits.
    return value if -_HUGE <= value < _HUGE else _tagged("int", hex(value))


def _float(value: float, _: Leaf) -> Any:
    if math.isfinite(value):
        return value
    return _tagged("float", "nan" if math.isnan(value) else repr(value))


def _list(value: list[Any], leaf: Leaf) -> list[Any]:
    kinds = set(map(type, value))
    if kinds <= _PLAIN:
        return value
    if kinds == {float} and all(map(math.isfinite, value)):
        return value
    if kinds == {int} and min(value) >= -_HUGE and max(value) < _HUGE:
        return value
    return [encode(item, leaf) for item in value]


def _dict(value: dict[Any, Any], leaf: Leaf) -> Any:
    if set(map(type, value)) <= {str} and "$" not in value:
        return {key: encode(item, leaf) for key, item in value.items()}
    return _tagged("dict", [[encode(key, leaf), encode(item, leaf)] for key, item in value.items()])


def _ordered_dict(value: OrderedDict[Any, Any], leaf: Leaf) -> Any:
    if vars(value):
        return leaf(value)
    return _tagged("OrderedDict", [[encode(key, leaf), encode(item, leaf)] for key, item in value.items()])


def _set(tag: str) -> Callable[[Any, Leaf], Any]:
    # In the order of their own text, which no hash seed changes. Its members may not be leaves: those have no text yet.
    return lambda value, _: _tagged(tag, sorted((encode(item) for item in value), key=to_bytes))


def _base64(tag: str) -> Callable[[Any, Leaf], Any]:
    return lambda value, _: _tagged(tag, base64.b64encode(value).decode())


def _datetime(value: dt.datetime, _: Leaf) -> Any:
    data = _tagged("datetime", value.replace(tzinfo=None).isoformat())
    return data | encode_zone(value.tzinfo) | ({"fold": 1} if value.fold else {})


def _time(value: dt.time, _: Leaf) -> Any:
    data = _tagged("time", value.replace(tzinfo=None).isoformat())
    return data | encode_zone(value.tzinfo) | ({"fold": 1} if value.fold else {})


_ENCODERS: Final[dict[type, Callable[[Any, Leaf], Any]]] = {
    type(None): lambda value, _: value,
    bool: lambda value, _: value,
    str: lambda value, _: value,
    int: _int,
    float: _float,
    list: _list,
    dict: _dict,
    OrderedDict: _ordered_dict,
    tuple: lambda value, leaf: _tagged("tuple", [encode(item, leaf) for item in value]),
    set: _set("set"),
    frozenset: _set("frozenset"),
    bytes: _base64("bytes"),
    bytearray: _base64("bytearray"),
    complex: lambda value, leaf: _tagged("complex", [_float(value.real, leaf), _float(value.imag, leaf)]),
    range: lambda value, _: _tagged("range", [encode(number) for number in (value.start, value.stop, value.step)]),
    dt.datetime: _datetime,
    dt.time: _time,
    dt.date: lambda value, _: _tagged("date", value.isoformat()),
    dt.timedelta: lambda value, _: _tagged("timedelta", [value.days, value.seconds, value.microseconds]),
    Decimal: lambda value, _: _tagged("decimal", str(value)),
    Fraction: lambda value, _: _tagged("fraction", [encode(value.numerator), encode(value.denominator)]),
    uuid.UUID: lambda value, _: _tagged("uuid", str(value)),
}


def _decode_dict(data: Any, part: Any) -> dict[Any, Any]:
    return {decode(key, part): decode(item, part) for key, item in data["v"]}


_DECODERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "int": lambda data, _: int(data["v"], 16),
    "float": lambda data, _: _NAMED_FLOATS[data["v"]],
    "tuple": lambda data, part: tuple(decode(item, part) for item in data["v"]),
    "dict": _decode_dict,
    "OrderedDict": lambda data, part: OrderedDict(_decode_dict(data, part)),
    "set": lambda data, part: {decode(item, part) for item in data["v"]},
    "frozenset": lambda data, part: frozenset(decode(item, part) for item in data["v"]),
    "bytes": lambda data, _: base64.b64decode(data["v"]),
    "bytearray": lambda data, _: bytearray(base64.b64decode(data["v"])),
    "complex": lambda data, _: complex(*map(decode, data["v"])),
    "range": lambda data, _: range(*map(decode, data["v"])),
    "datetime": lambda data, _: dt.datetime.fromisoformat(data["v"]).replace(
        tzinfo=decode_zone(data), fold=data.get("fold", 0)
    ),
    "time": lambda data, _: dt.time.fromisoformat(data["v"]).replace(
        tzinfo=decode_zone(data), fold=data.get("fold", 0)
    ),
    "date": lambda data, _: dt.date.fromisoformat(data["v"]),
    "timedelta": lambda data, _: dt.timedelta(*data["v"]),
    "decimal": lambda data, _: Decimal(data["v"]),
    "fraction": lambda data, _: Fraction(*map(decode, data["v"])),
    "uuid": lambda data, _: uuid.UUID(data["v"]),
    "numpy": lambda data, _: decode_numpy({**data, "v": _NAMED_FLOATS.get(data["v"], data["v"])}),
    "pandas.Timestamp": lambda data, _: decode_pandas(data),
    "pandas.Timedelta": lambda data, _: decode_pandas(data),
    "pandas.missing": lambda data, _: decode_pandas(data),
}


def summarize(value: Any) -> dict[str, Any]:
    """What a person wants to know about a JSON-like value."""
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else repr(key) for key, _ in zip(value, range(20), strict=False)]
        return {"length": len(value), "keys": keys}
    if isinstance(value, str | bytes | list | tuple | set | frozenset):
        return {"length": len(value)}
    return {}


def _write(value: Any, sink: Sink) -> Written:
    try:
        data = to_bytes(encode(value))
    except RecursionError as error:
        raise NotThisFormatError("it is nested too deeply, or contains itself") from error
    sink.write(data)
    return Written(summary=summarize(value))


def _read(source: Source, _stored: StoredValue, _as_type: type | None) -> Any:
    return decode(json.loads(bytes(source.read())))


FORMAT = Format("json", ".json", _write, _read)
