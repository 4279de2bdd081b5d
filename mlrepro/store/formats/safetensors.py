"""torch tensors and state dicts as safetensors files, which hold numbers and no code."""

import json
import struct
from collections import OrderedDict
from typing import Any, Final

from mlrepro.errors import MissingExtraError
from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats import json_value
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue

_SCHEMA: Final = 1
_ALIGNMENT: Final = 8
_LONGEST_HEADER: Final = 100_000_000
_SHOWN: Final = 50


def _dtypes() -> dict[Any, str]:
    """Names that the file format has for torch's dtypes."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("Reading or writing torch tensors", "torch") from error
    names = {
        "bool": "BOOL",
        "uint8": "U8",
        "int8": "I8",
        "int16": "I16",
        "uint16": "U16",
        "int32": "I32",
        "uint32": "U32",
        "int64": "I64",
        "uint64": "U64",
        "float16": "F16",
        "bfloat16": "BF16",
        "float32": "F32",
        "float64": "F64",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
        "complex64": "C64",
    }
    return {getattr(torch, torch_name): name for torch_name, name in names.items() if hasattr(torch, torch_name)}


def _write(value: Any, sink: Sink) -> Written:
    dtypes = _dtypes()
    kind, tensors = _tensors(value)
    plain = {key: _plain(tensor, dtypes) for key, tensor in tensors.items()}
    notes: dict[str, Any] = {"schema": _SCHEMA, "kind": kind}
    grad = [key for key, tensor in tensors.items() if tensor.requires_grad]
    if grad:
        notes["requires_grad"] = grad
    if kind == "ordered" and vars(value):
        notes["attributes"] = json_value.encode(dict(vars(value)))
    # One entry of metadata only: the format does not say in which order several come. Names keep the dict's order.
    header: dict[str, Any] = {"__metadata__": {"mlrepro": json.dumps(notes, separators=(",", ":"))}}
    position = 0
    for key, tensor in plain.items():
        end = position + tensor.numel() * tensor.element_size()
        header[key] = {"dtype": dtypes[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    sink.write(struct.pack("<Q", len(text)) + text)
    for tensor in plain.values():
        _write_numbers(tensor, sink)
    return Written(summary=_summarize(kind, plain))


def _tensors(value: Any) -> tuple[str, dict[str, Any]]:
    import torch

    if type(value) is torch.Tensor:
        return "tensor", {"": value}
    if type(value) in {dict, OrderedDict} and value and all(map(_is_named_tensor, value.items())):
        return ("dict" if type(value) is dict else "ordered"), value
    raise NotThisFormatError("it is not a tensor, nor a dict of tensors by name")


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    import torch

    return type(item[0]) is str and item[0] != "__metadata__" and type(item[1]) is torch.Tensor


def _plain(tensor: Any, dtypes: dict[Any, str]) -> Any:
    import torch

    if tensor.layout is not torch.strided or tensor.dtype not in dtypes or vars(tensor) or not tensor.is_leaf:
        raise NotThisFormatError(
            f"it holds a tensor of dtype {tensor.dtype} and layout {tensor.layout} with attributes"
        )
    return tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _write_numbers(tensor: Any, sink: Sink) -> None:
    import torch

    if tensor.numel():
        sink.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def _summarize(kind: str, tensors: dict[str, Any]) -> dict[str, Any]:
    if kind == "tensor":
        return {"shape": list(tensors[""].shape), "dtype": str(tensors[""].dtype)}
    shown = list(tensors.items())[:_SHOWN]
    return {"length": len(tensors), "tensors": {key: [str(item.dtype), list(item.shape)] for key, item in shown}}


def _read(source: Source, _stored: StoredValue, _as_type: type | None) -> Any:
    import_names = {name: dtype for dtype, name in _dtypes().items()}
    data = source.read()
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise ValueError("not a safetensors file")
    header = json.loads(bytes(data[8 : 8 + length]))
    notes = json.loads(header.pop("__metadata__", {}).get("mlrepro", "{}"))
    body = data[8 + length :]
    tensors = {key: _tensor(entry, body, import_names) for key, entry in header.items()}
    for key in notes.get("requires_grad", ()):
        tensors[key].requires_grad_()
    if notes.get("kind") == "tensor":
        return tensors[""]
    if notes.get("kind") != "ordered":
        return tensors
    ordered = OrderedDict(tensors)
    for name, item in json_value.decode(notes.get("attributes", {})).items():
        setattr(ordered, name, item)
    return ordered


def _tensor(entry: dict[str, Any], body: memoryview, dtypes: dict[str, Any]) -> Any:
    import torch

    begin, end = entry["data_offsets"]
    dtype = dtypes[entry["dtype"]]
    if begin == end:
        return torch.empty(entry["shape"], dtype=dtype)
    # A copy: an odd number of bytes before it would leave a tensor where its numbers may not lie.
    return torch.frombuffer(bytearray(body[begin:end]), dtype=dtype).reshape(entry["shape"])


FORMAT = Format("safetensors", ".safetensors", _write, _read)
