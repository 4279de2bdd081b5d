"""What a version is: the fingerprint of code, the environment it ran in, and names that find objects again."""

from mlrepro.versioning.canonical import canonical_json, digest
from mlrepro.versioning.code.fingerprint import (
    FingerprintSession,
    code_fingerprint,
    fingerprint,
    fingerprint_session,
)
from mlrepro.versioning.code.origin import PLATFORM, distribution_of, is_first_party
from mlrepro.versioning.code.reference import reference, resolve_reference
from mlrepro.versioning.code.report import CodeFingerprint, Report, Source
from mlrepro.versioning.difference import Change, Evidence, differences
from mlrepro.versioning.environment import Environment, environment
from mlrepro.versioning.input_hash import SCHEMA, InputHashParts, InputVersion, OutputDeclaration, input_hash
from mlrepro.versioning.seeds import seed_everything

__all__ = [
    "PLATFORM",
    "SCHEMA",
    "Change",
    "CodeFingerprint",
    "Environment",
    "Evidence",
    "FingerprintSession",
    "InputHashParts",
    "InputVersion",
    "OutputDeclaration",
    "Report",
    "Source",
    "canonical_json",
    "code_fingerprint",
    "differences",
    "digest",
    "distribution_of",
    "environment",
    "fingerprint",
    "fingerprint_session",
    "input_hash",
    "is_first_party",
    "reference",
    "resolve_reference",
    "seed_everything",
]
