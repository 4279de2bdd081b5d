"""What a fingerprint tells besides its digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One definition of the closure, kept with each result so that a later difference needs no git.

    Attributes:
        name: ``"proj.util:scale"``; for a constant ``"proj.pipeline:FACTOR"``.
        file: Path relative to the import root (``"proj/util.py"``), never absolute.
        line: Its first line.
        text: The dedented source as written; for a module-level constant its assignment statement.
    """

    name: str
    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Report:
    """Something that the walk could not follow for certain, or that lies outside the code.

    Attributes:
        kind: ``"dynamic attribute"``, ``"file"``, ``"environment variable"``, ``"exec"``, ``"no source"``,
            ``"opaque object"``, ``"unresolved name"`` or ``"source changed"``.
        message: One line that names what, and where.
        name: The definition that does it.
        file: Path relative to the import root.
        line: Where.
        followed: Its present value is part of the digest, so the fingerprint is right as of now.
    """

    kind: str
    message: str
    name: str
    file: str
    line: int
    followed: bool


@dataclass(frozen=True, slots=True)
class CodeFingerprint:
    """The hash of a definition and of all that it reaches.

    Attributes:
        digest: 64 hex digits. Covers what the code reads from its surroundings (environment variables, files), as
            of the call.
        sources: Every definition that the digest covers, sorted by name.
        distributions: Third-party distributions used, by name, with their versions.
        reports: What could not be followed for certain.
        names: Dotted third-party and standard-library names referenced, such as ``"numpy.mean"``.
    """

    digest: str
    sources: tuple[Source, ...] = ()
    distributions: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()
    names: frozenset[str] = frozenset()
