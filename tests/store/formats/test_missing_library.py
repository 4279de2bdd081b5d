import subprocess
import sys

import pytest

LAZY = """
import sys
from mlrepro.store import open_store
store = open_store("memory://lazy")
stored = store.write_value({"a": [1, (2, b"x")], "s": {"x"}})
store.read_value(stored)
store.put_result(stored.content_hash, {})
heavy = {"numpy", "pandas", "polars", "pyarrow", "torch", "dagster"} & set(sys.modules)
assert not heavy, heavy
"""

MISSING = """
import sys
sys.modules["{library}"] = None
from mlrepro.errors import MissingExtraError
from mlrepro.store import StoredValue, open_store
store = open_store(sys.argv[1])
try:
    store.read_value(StoredValue.from_json(eval(sys.argv[2])))
except MissingExtraError as error:
    print(error)
"""


def test_storing_plain_values_imports_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", LAZY], check=True)


@pytest.mark.parametrize(("library", "value"), [("polars", "frame"), ("torch", "tensor")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(folder_store, library: str, value: str) -> None:
    module = pytest.importorskip(library)
    stored = folder_store.write_value(module.DataFrame({"x": [1]}) if value == "frame" else module.zeros(2))
    told = subprocess.run(
        [sys.executable, "-c", MISSING.format(library=library), folder_store.url, repr(stored.to_json())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"pip install 'mlrepro[{library}]'" in told
