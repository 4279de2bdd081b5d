"""What a result record says of the key that it stands under."""

import functools
import hashlib
import sys
from collections.abc import Mapping
from typing import Any

from mlrepro.io_managers.json_values import to_json
from mlrepro.io_managers.key import StepKey
from mlrepro.versioning import CodeFingerprint, digest, python_token

_SHORT = 12

_TRIES: int = 2**12
"""Cost of one guess at a secret: about 10 ms. With the name as salt, no table of guesses serves twice."""


def key_record(key: StepKey) -> dict[str, Any]:
    """Describe a key as a result record does, so that it can be compared with earlier ones.

    Args:
        key: The step's key.

    Returns:
        JSON. Secrets are in it as hashes only.
    """
    return {
        "input_hash": key.input_hash,
        "code": {"fingerprint": key.code.digest, "distributions": dict(key.code.distributions)},
        "config": to_json(key.config),
        "inputs": key.inputs,
        "partitions": list(key.partitions) if key.partitions is not None else None,
        "seed": key.parts.seed,
        "key_parts": _key_parts(key),
    }


def code_sources(code: CodeFingerprint) -> list[dict[str, Any]]:
    """List the sources of a closure as a record's blob holds them."""
    return [
        {"name": source.name, "file": source.file, "line": source.line, "text": source.text} for source in code.sources
    ]


def _key_parts(key: StepKey) -> dict[str, Any]:
    """Describe what counts beside code, config, inputs and seed; parts that the key does not have are left out."""
    parts = key.parts
    surroundings = parts.surroundings if isinstance(parts.surroundings, Mapping) else {}
    described: dict[str, Any] = {
        "python": python_token() if _uses_python(key.code) else None,
        "code_version": key.declared_version,
        "ignore_config": sorted(key.ignored_config),
        "inputs": {
            name: {
                "content": _short(given.content),
                "loaded_as": given.loaded_as,
                "code": dict(key.value_codes.get(name, {})),
            }
            for name, given in parts.inputs.items()
        },
        "resources": {name: _hidden(name, value) for name, value in parts.resources.items()},
        "outputs": {name: {"type": each.type, "format": each.format} for name, each in parts.outputs.items()},
        # tags of a run are anybody's text; the rest stands in the definitions
        "surroundings": {
            name: _hidden(name, digest(value)) if name == "run_tags" else _short(value)
            for name, value in surroundings.items()
        },
        "salt": _short(parts.salt) if parts.salt else None,
    }
    return {"partition": parts.partition is not None, **{name: value for name, value in described.items() if value}}


def _uses_python(code: CodeFingerprint) -> bool:
    """Whether the interpreter's version is part of a fingerprint: by the standard library, or by bytecode."""
    return any(name.partition(".")[0] in sys.stdlib_module_names for name in code.names) or any(
        report.kind == "no source" for report in code.reports
    )


def _short(value: object) -> str:
    return digest(value)[:_SHORT]


@functools.lru_cache(maxsize=1024)
def _hidden(name: str, value: str) -> str:
    """Hash what may hold a secret so that guessing it from the record is slow."""
    return hashlib.scrypt(value.encode(), salt=f"mlrepro {name}".encode(), n=_TRIES, r=8, p=1, dklen=_SHORT // 2).hex()
