import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlrepro.store import open_store
from tests.store import data_cases

STORE = open_store("memory://data-cases")


def digest(value: object) -> str:
    return STORE.hash_value(value).content_hash


CASES = data_cases.cases()


@pytest.mark.parametrize(("wanted", "one", "other"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(wanted: str, one: object, other: object) -> None:
    assert ("same" if digest(one) == digest(other) else "diff") == wanted


def test_files_and_folders(tmp_path: Path) -> None:
    found = data_cases.verdicts(digest, data_cases.file_cases(tmp_path))
    assert set(found.values()) == {"."}, found


PRINTED = """
import json
from tests.store import data_cases
from mlrepro.store import open_store
store = open_store("memory://x")
print(json.dumps([[store.hash_value(v).content_hash for v in case[2:]] for case in data_cases.cases()]))
"""


def test_hashes_are_the_same_in_every_process_whatever_its_hash_seed() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PRINTED],
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(data_cases.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == [[digest(one), digest(other)] for _, _, one, other in CASES]
