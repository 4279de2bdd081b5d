"""numpy's and pandas' scalars as JSON, with their types. Neither library is imported before one of them is met."""

import datetime as dt
import math
import zoneinfo
from typing import Any, Final

from mlrepro.store.formats.format import NotThisFormatError

_NUMPY_NUMBERS: Final = frozenset({"bool", "bool_", "float16", "float32", "float64"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_NUMPY_TIMES: Final = frozenset({"datetime64", "timedelta64"})
_PANDAS_TIMES: Final = frozenset({"Timestamp", "Timedelta"})


def encode_scalar(value: Any) -> dict[str, Any] | None:
    """A scalar's JSON, or None for anything else.

    Raises:
        NotThisFormatError: It is a time in a zone without a name.
    """
    kind = type(value)
    library, name = str(kind.__module__).partition(".")[0], kind.__name__
    if library == "numpy":
        return _encode_numpy(value, name)
    if library != "pandas":
        return None
    if name in _PANDAS_TIMES:
        data = {"$": f"pandas.{name}", "v": int(value.asm8.view("i8")), "unit": value.unit}
        return data | encode_zone(getattr(value, "tzinfo", None))
    return {"$": "pandas.missing", "v": "NaT" if name == "NaTType" else "NA"} if name in {"NaTType", "NAType"} else None


def _encode_numpy(value: Any, name: str) -> dict[str, Any] | None:
    if name in _NUMPY_NUMBERS:
        number = value.item()
        if isinstance(number, float) and not math.isfinite(number):
            number = "nan" if math.isnan(number) else repr(number)
        return {"$": "numpy", "dtype": value.dtype.str, "v": number}
    if name == "str_":
        return {"$": "numpy", "dtype": "U", "v": str(value)}
    return {"$": "numpy", "dtype": value.dtype.str, "v": int(value.view("i8"))} if name in _NUMPY_TIMES else None


def decode_numpy(data: dict[str, Any]) -> Any:
    """The numpy scalar that was encoded."""
    import numpy as np

    if data["dtype"] == "U":
        return np.str_(data["v"])
    dtype = np.dtype(data["dtype"])
    if dtype.kind in "mM":
        return np.array(data["v"], dtype="i8").view(dtype)[()]
    return dtype.type(data["v"])


def decode_pandas(data: dict[str, Any]) -> Any:
    """The pandas scalar that was encoded."""
    import pandas as pd

    if data["$"] == "pandas.missing":
        return pd.NaT if data["v"] == "NaT" else pd.NA
    letter, kind = ("M", pd.Timestamp) if data["$"] == "pandas.Timestamp" else ("m", pd.Timedelta)
    value = kind(decode_numpy({"dtype": f"{letter}8[{data['unit']}]", "v": data["v"]}))
    zone = decode_zone(data)
    return value if zone is None else value.tz_localize("UTC").tz_convert(zone)


def encode_zone(zone: dt.tzinfo | None) -> dict[str, Any]:
    """A time zone by its name or its offset.

    Raises:
        NotThisFormatError: It has neither.
    """
    if zone is None:
        return {}
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return {"zone": zone.key}
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        if zone.tzname(None) == dt.timezone(offset).tzname(None):
            return {"offset": [offset.days, offset.seconds, offset.microseconds]}
    raise NotThisFormatError(f"the time zone {zone!r} has no name that JSON could hold")


def decode_zone(data: dict[str, Any]) -> dt.tzinfo | None:
    """The zone that was encoded."""
    if "zone" in data:
        return zoneinfo.ZoneInfo(data["zone"])
    return dt.timezone(dt.timedelta(*data["offset"])) if "offset" in data else None
