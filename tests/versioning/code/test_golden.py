"""Golden digests: the fingerprint of the same code is the same in every release.

A test that fails here means that results stored so far are not found again. If that is wanted, raise the number in
``_SCHEMA`` of ``mlrepro/versioning/fingerprint.py``, say so in the changelog, and write the digests anew by

    python tests/versioning/code/test_golden.py

under each minor version of Python. Never write them anew for anything else.
"""

import json
import sys
from pathlib import Path

import pytest

from mlrepro.versioning import FingerprintSession, fingerprint

HERE = Path(__file__).parent / "golden"
DIGESTS = HERE / "digests.json"
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
PLAIN = (
    "shift",
    "double",
    "square",
    "expressions",
    "constants",
    "registry",
    "recursion",
    "closure",
    "classes",
    "hints",
    "subclasses",
    "waiting",
    "Ridge",
)
LIBRARY = ("Colour", "Window", "describe", "scaled", "tripled", "everything", "reads")


def digests() -> dict[str, dict[str, str]]:
    sys.path.insert(0, str(HERE))  # paths of files count from where modules are imported
    try:
        from golden_project import library, plain  # type: ignore[import-not-found]

        session = FingerprintSession()
        return {
            "plain": {name: session.fingerprint(getattr(plain, name)).digest for name in PLAIN},
            MINOR: {name: session.fingerprint(getattr(library, name)).digest for name in LIBRARY},
        }
    finally:
        sys.path.remove(str(HERE))


def golden() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return found


def test_code_without_the_standard_library_has_the_same_digests_in_every_release_and_python() -> None:
    assert digests()["plain"] == golden()["plain"]


def test_code_with_the_standard_library_has_the_same_digests_in_every_release() -> None:
    if MINOR not in golden():
        pytest.skip(f"no digests were written under Python {MINOR}")
    assert digests()[MINOR] == golden()[MINOR]


def test_every_golden_digest_is_another() -> None:
    found = [digest for group in golden().values() for digest in group.values()]
    assert len(set(found)) == len(found)


def test_sessions_do_not_change_the_digests() -> None:
    digests()
    from golden_project import plain

    assert {name: fingerprint(getattr(plain, name)).digest for name in PLAIN} == golden()["plain"]


if __name__ == "__main__":
    known = golden() if DIGESTS.exists() else {}
    DIGESTS.write_text(json.dumps({**known, **digests()}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
