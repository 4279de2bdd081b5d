"""The normal form of code whose source is not at hand, or is no longer what runs: its bytecode.

It holds for one minor version of Python only.
"""

import dis
import hashlib
from types import CodeType

from mlrepro.versioning.code.origin import python_token
from mlrepro.versioning.code.syntax import Reference


def read_code(code: CodeType) -> tuple[bytes, tuple[Reference, ...]]:
    """The hash of a running code object, and the outside names that it uses.

    Args:
        code: Of a function.

    Returns:
        The hash, without names, file and lines; and the references, in order of first use.
    """
    references: dict[tuple[str, ...], Reference] = {}
    digest = hashlib.sha256(python_token().encode())
    digest.update(repr(_content(code, references)).encode("utf-8", "surrogatepass"))
    return digest.digest(), tuple(references.values())


def _content(code: CodeType, references: dict[tuple[str, ...], Reference]) -> list[object]:
    _collect(code, references)
    return [
        code.co_code.hex(),
        [_constant(value, references) for value in code.co_consts],
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_exceptiontable.hex(),
    ]


def _constant(value: object, references: dict[tuple[str, ...], Reference]) -> object:
    if isinstance(value, CodeType):
        return _content(value, references)
    if isinstance(value, tuple):
        return ["tuple", *(_constant(item, references) for item in value)]
    if isinstance(value, frozenset):
        return ["frozenset", *sorted(repr(_constant(item, references)) for item in value)]
    return [type(value).__name__, repr(value)]


def _collect(code: CodeType, references: dict[tuple[str, ...], Reference]) -> None:
    name = ""
    attrs: list[str] = []
    line = code.co_firstlineno

    def end() -> None:
        nonlocal name
        if name:
            references.setdefault((name, *attrs), Reference(name, tuple(attrs), line))
        name = ""
        attrs.clear()

    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(
            ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT")
        ):
            end()
            if isinstance(instruction.argval, str):
                name = instruction.argval
        elif name and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(instruction.argval, str):
            attrs.append(instruction.argval)
        elif instruction.opname == "IMPORT_NAME" and isinstance(instruction.argval, str):
            end()
            references.setdefault(("import", instruction.argval), Reference("", (), line, instruction.argval))
        elif instruction.opname not in ("CACHE", "PRECALL", "RESUME", "PUSH_NULL", "NOP"):
            end()
    end()
