"""What a version is: the fingerprint of code, the environment it ran in, and names that find objects again."""

from mlrepro.versioning.canonical import canonical_json, digest
from mlrepro.versioning.code.fingerprint import (
    FingerprintSession,
    code_fingerprint,
    fingerprint,
    fingerprint_session,
)
from mlrepro.versioning.code.origin import PLATFORM, distribution_of, is_first_party, python_token
from mlrepro.versioning.code.reference import reference, resolve_reference
from mlrepro.versioning.code.report import CodeFingerprint, Report, Source
from mlrepro.versioning.difference import READER, Change, Evidence, differences
from mlrepro.versioning.environment import Environment, environment
from mlrepro.versioning.input_hash import SCHEMA, InputHashParts, InputVersion, OutputDeclaration, input_hash
from mlrepro.versioning.key_difference import key_changes
from mlrepro.versioning.seeds import seed_everything
from mlrepro.versioning.sentences import say, sentence

__all__ = [
    "PLATFORM",
    "READER",
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
    "key_changes",
    "python_token",
    "reference",
    "resolve_reference",
    "say",
    "seed_everything",
    "sentence",
]
