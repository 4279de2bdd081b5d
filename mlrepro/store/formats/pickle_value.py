"""Any other picklable value.

The last resort: bytes that only Python reads, with the same libraries,
and that should be loaded only from writers who are trusted.
"""

import contextlib
import pickle
import sys
from collections.abc import Iterator
from typing import Any, Final

from mlrepro.errors import MlreproError, StoreError, UnstorableValueError, UntrustedPickleError
from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.format import Format, Written
from mlrepro.store.formats.pickling import CanonicalPickler
from mlrepro.store.stored import StoredValue, type_name

_DEEP: Final = 20_000


def dump(value: Any, sink: Sink) -> tuple[str, ...]:
    """Write a value's canonical pickle; the globals that it names.

    Raises:
        UnstorableValueError: Something in it cannot be pickled.
    """
    pickler = CanonicalPickler(sink)
    try:
        with _deep():
            pickler.dump(value)
    except MlreproError:
        raise
    except Exception as error:  # a value's own __reduce__ may raise anything
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UnstorableValueError(
            f"A value of type {type_name(type(value))} cannot be stored: {reason}. Return plain data, a frame, "
            "an array, a picklable object or a pathlib.Path to a file that you wrote"
        ) from error
    return tuple(sorted(pickler.references))


def load(source: Source) -> Any:
    """Read a pickle. Its bytes are checked before any of them is believed.

    Raises:
        UntrustedPickleError: Nobody who is trusted vouches for it.
        StoreError: Code that it names is missing, or refuses it.
    """
    if source.refuses_pickles is not None:
        raise UntrustedPickleError(source.refuses_pickles)
    data = source.read()
    try:
        return pickle.loads(data)  # noqa: S301 - see the module's docstring
    except Exception as error:
        raise StoreError(
            f"The pickled object {source.blob.digest} cannot be loaded here: {type(error).__name__}: {error}. "
            "It needs the code and the libraries that it was made with"
        ) from error


@contextlib.contextmanager
def _deep() -> Iterator[None]:
    # The pickler is Python calling Python, which takes several frames a level but no C stack.
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _write(value: Any, sink: Sink) -> Written:
    return Written(references=dump(value, sink))


def _read(source: Source, _stored: StoredValue, _as_type: type | None) -> Any:
    return load(source)


FORMAT = Format("pickle", ".pkl", _write, _read, last_resort=True)
