"""numpy arrays as ``.npy`` files in C order: views, copies and Fortran order of the same values are the same."""

import io
from typing import Any

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue


def canonical(array: Any) -> Any:
    """The array with nothing in its memory that is not its value: contiguous, one NaN, zeros between fields.

    Raises:
        NotThisFormatError: It holds Python objects, or numbers whose bytes are not all used.
    """
    import numpy as np

    dtype = array.dtype
    if dtype.hasobject or dtype.kind == "T":
        raise NotThisFormatError("it holds Python objects")
    if dtype.char in "gG":
        raise NotThisFormatError("long doubles are not the same on every machine")
    if dtype.kind == "V":
        return _without_padding(array)
    array = np.asarray(array)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array).reshape(array.shape)
    if dtype.kind in "fc":
        return _with_one_nan(array)
    return array


def _with_one_nan(array: Any) -> Any:
    """The array with the usual bits for every NaN. Which ones a computation leaves depends on the processor."""
    import numpy as np

    # min is NaN where there is any, and takes no memory to find out.
    if not array.size or not np.isnan(np.min(array)):
        return array
    array = array.copy(order="K")
    for numbers in (array.real, array.imag) if array.dtype.kind == "c" else (array,):
        numbers[np.isnan(numbers)] = np.nan
    return array


def _without_padding(array: Any) -> Any:
    """A structured array whose padding is zero; compilers and numpy leave anything there."""
    import numpy as np

    clean = np.zeros(array.shape, array.dtype)
    if array.dtype.names is None:
        clean[...] = array
        return clean
    for name in array.dtype.names:
        column = array[name]
        clean[name] = canonical(column) if column.dtype.kind != "S" else column
    return clean


def _write(value: Any, sink: Sink) -> Written:
    import numpy as np

    if not isinstance(value, np.ndarray) or type(value) is not np.ndarray:
        raise NotThisFormatError("it is not a plain numpy array")
    array = canonical(value)
    descr = np.lib.format.dtype_to_descr(array.dtype)
    if np.lib.format.descr_to_dtype(descr) != array.dtype or array.dtype.metadata:
        raise NotThisFormatError(f"its dtype {array.dtype} does not survive a .npy file")
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": descr, "fortran_order": False, "shape": array.shape})
    sink.write(header.getvalue())
    if array.size:
        sink.write(array.reshape(-1).view(np.uint8).data if array.dtype.itemsize else b"")
    return Written(summary={"shape": list(array.shape), "dtype": str(array.dtype)})


def _read(source: Source, _stored: StoredValue, _as_type: type | None) -> Any:
    import numpy as np

    data = source.read()
    header = io.BytesIO(data[: min(len(data), 1 << 16)])
    version = np.lib.format.read_magic(header)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(header, max_header_size=1 << 16)
    return np.ndarray(shape, dtype, data, offset=header.tell(), order="F" if fortran_order else "C")


FORMAT = Format("npy", ".npy", _write, _read)
