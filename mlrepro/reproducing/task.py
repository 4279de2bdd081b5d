"""What the clean process is told, and what it tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlrepro.reproducing.recipe import RecordedInput
from mlrepro.store import Store, StoredValue


@dataclass(frozen=True)
class Task:
    """One computation for a process that knows nothing else.

    Attributes:
        workspace: The temporary folder that all of it is in.
        store: The store with the recorded values, which is only read.
        scratch: Folder of the temporary store that takes what is computed.
        folder: Folder for files.
        answer: File for the answer.
        roots: Import roots of the code.
        definitions: How these are loaded, where that is known.
        record: The result record.
        sources: Sources of its closure.
        inputs: By argument name.
        dependencies: Data versions of upstream assets that are no arguments.
        config: The config.
        outputs: What the outputs were, by name and then by partition.
        tolerance: Relative difference up to which numbers count as the same.
    """

    workspace: Path
    store: Store
    scratch: Path
    folder: Path
    answer: Path
    roots: tuple[Path, ...]
    definitions: Mapping[str, Any] | None
    record: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]
    inputs: Mapping[str, RecordedInput]
    dependencies: Mapping[str, Any]
    config: Any
    outputs: Mapping[str, Mapping[str | None, StoredValue]]
    tolerance: float

    def perform(self) -> "Answer":
        """Compute it in this process."""
        from mlrepro.reproducing.computing import answer_to

        return answer_to(self)


@dataclass
class Answer:
    """What became of a task.

    Attributes:
        status: ``computed``; ``other code`` if the tree does not hold the recorded code; ``missing`` if something is
            not there; ``failed`` if the code raised an error.
        said: Why, for all but ``computed``.
        record: The result record of the new computation.
        sources: Sources of the closure as they were found.
        freeze: Installed distributions.
        likeness: For each output (and partition) whose bytes differ, how alike the values are, and in what they differ.
        seconds: How long the function took.
    """

    status: Literal["computed", "other code", "missing", "failed"]
    said: list[str] = field(default_factory=list)
    record: Mapping[str, Any] = field(default_factory=dict)
    sources: Sequence[Mapping[str, Any]] = ()
    freeze: str = ""
    likeness: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seconds: float = 0.0
