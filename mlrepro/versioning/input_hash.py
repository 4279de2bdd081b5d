"""The input hash: everything that can change a result, and nothing else (design, invariant 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlrepro.versioning.canonical import digest

SCHEMA = 1
"""Bumped on purpose when the meaning of a key changes; golden keys in the tests hold it in place."""


@dataclass(frozen=True)
class InputVersion:
    """What was passed for one argument.

    Attributes:
        content: Format and content hash (``json:4f53...``), or for several partitions a mapping of partition key to
            such.
        loaded_as: How the argument's declared type makes the value load, where it has a say ("polars.DataFrame").
        code: Fingerprint of the code that comes with the value: its class, what its pickle refers to.
    """

    content: str | Mapping[str, str]
    loaded_as: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class OutputDeclaration:
    """How one output was declared: its type and, if the author chose one, its format."""

    type: str | None = None
    format: str | None = None


@dataclass(frozen=True)
class InputHashParts:
    """The parts of an input hash.

    Attributes:
        code: Code fingerprint of the function.
        config: Resolved config by field, without the ignored fields. Secrets are in it; only the hash leaves.
        inputs: What each argument held, by argument name.
        dependencies: Data version of each upstream asset that is not an argument, by asset key; by partition where
            it has partitions.
        resources: Fingerprint of each resource that the function gets: its code and config.
        outputs: Declaration of each output, by output name.
        partition: Partition keys that are computed, where the function can see them.
        surroundings: What else of the step the function can read through its context.
        seed: Random seed set before the function runs.
        salt: Text that the author put into the key.
    """

    code: str
    config: object = None
    inputs: Mapping[str, InputVersion] = field(default_factory=dict)
    dependencies: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, OutputDeclaration] = field(default_factory=dict)
    partition: Sequence[str] | None = None
    surroundings: object = None
    seed: int | None = None
    salt: str = ""


def input_hash(parts: InputHashParts) -> str:
    """Hash the parts of a key.

    Returns:
        64 hex digits.

    Raises:
        TypeError: If the config holds something without a canonical form.

    Example:
        >>> one = InputHashParts(code="c0de", config={"C": 1.0}, inputs={"x": InputVersion("da7a")})
        >>> two = InputHashParts(code="c0de", config={"C": 2.0}, inputs={"x": InputVersion("da7a")})
        >>> input_hash(one) == input_hash(two)
        False
    """
    return digest(
        {
            "schema": SCHEMA,
            "code": parts.code,
            "config": parts.config,
            "inputs": {
                name: {"content": given.content, "loaded_as": given.loaded_as, "code": given.code}
                for name, given in parts.inputs.items()
            },
            "dependencies": parts.dependencies,
            "resources": parts.resources,
            "outputs": {
                name: {"type": declared.type, "format": declared.format} for name, declared in parts.outputs.items()
            },
            "partition": None if parts.partition is None else list(parts.partition),
            "surroundings": parts.surroundings,
            "seed": parts.seed,
            "salt": parts.salt,
        }
    )
