"""The code matrix, printed: which edits a fingerprint notices, ours and others'.

    python benchmarks/code_matrix.py            # ours
    python benchmarks/code_matrix.py --peers    # and the cache keys of other tools, where they are installed

Every tool is asked through its own key function, before and after each edit, in a fresh process.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "versioning" / "code"))

from code_matrix_edits import EDITS, Edit
from code_matrix_runner import OURS, Tool, ToolError, another_python

# What each tool makes its cache key of, asked as the tool itself asks it: (module that must be installed, snippet).
PEERS = {
    "joblib": (
        "joblib",
        """
import joblib, tempfile
from joblib.func_inspect import get_func_code
def key(module, target, name):
    cached = joblib.Memory(tempfile.mkdtemp(), verbose=0).cache(target)
    return sha(cached.func_id, get_func_code(cached.func)[0], cached._get_args_id())
""",
    ),
    "cloudpickle": (
        "cloudpickle",
        """
import cloudpickle, sys
def key(module, target, name):
    for loaded, found in list(sys.modules.items()):
        if loaded.split(".")[0] == "proj":
            cloudpickle.register_pickle_by_value(found)
    return sha(cloudpickle.dumps(target))
""",
    ),
    "dask": ("dask", "from dask.base import tokenize\ndef key(module, target, name):\n    return tokenize(target)\n"),
    "redun": (
        "redun",
        """
import inspect, logging
logging.disable(logging.CRITICAL)
from redun import task
from redun.hashing import hash_arguments
from redun.value import get_type_registry
def key(module, target, name):
    made = task(name=name, namespace="m")(target)
    signature = inspect.signature(made.func).parameters
    defaults = {k: p.default for k, p in signature.items() if p.default is not p.empty}
    return sha(made.hash, hash_arguments(get_type_registry(), (), defaults))
""",
    ),
    "hamilton": (
        "hamilton",
        """
import logging
logging.disable(logging.CRITICAL)
from hamilton import driver
from hamilton.graph_types import HamiltonNode
from hamilton.caching.fingerprinting import hash_value
def key(module, target, name):
    node = driver.Builder().with_modules(module).build().graph.nodes.get(name)
    if node is None:
        raise RuntimeError("not a Hamilton node")
    defaults = sorted((k, hash_value(v)) for k, v in node.default_parameter_values.items())
    return sha(HamiltonNode.from_node(node).version, defaults)
""",
    ),
    "prefect": (
        "prefect",
        """
import os
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
from types import SimpleNamespace
from prefect import task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.utilities.callables import get_call_parameters
POLICY = INPUTS + TASK_SOURCE
def key(module, target, name):
    made = task(name=name, cache_policy=POLICY, persist_result=True)(target)
    return POLICY.compute_key(SimpleNamespace(task=made), get_call_parameters(made.fn, (), {}), {})
""",
    ),
    "flyte2": (
        "flyte",
        """
from flyte._cache.cache import VersionParameters
from flyte._cache.policy_function_body import FunctionBodyPolicy
def key(module, target, name):
    return FunctionBodyPolicy().get_version("", VersionParameters(func=target))
""",
    ),
    "charmonium": (
        "charmonium",
        """
from charmonium.freeze import Config, freeze
def key(module, target, name):
    return str(freeze(target, Config(assume_purity=False)))
""",
    ),
    "bionic": (
        "bionic",
        """
from bionic.code_hasher import CodeHasher
def key(module, target, name):
    return CodeHasher.hash(target, suppress_warnings=True)
""",
    ),
}


def judge(tool: Tool, edit: Edit) -> str:
    """``.`` for right, ``STALE`` for a missed change, ``miss`` for one noticed needlessly."""
    try:
        noticed = tool.notices(edit)
    except (ToolError, KeyError, FileNotFoundError):
        return "n/a"
    if noticed == edit.noticed:
        return "."
    return "miss" if noticed else "STALE"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="other tools too, where they are installed")
    parser.add_argument("--only", default="", help="rows whose id starts so")
    options = parser.parse_args()
    snippets = {"mlrepro": OURS}
    if options.peers:
        for name, (module, snippet) in PEERS.items():
            if importlib.util.find_spec(module) is not None:
                snippets[name] = snippet
    edits = [edit for edit in EDITS if edit.id.startswith(options.only)]
    second = another_python()
    table: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, snippet in snippets.items():
            place = Path(folder) / name
            place.mkdir()
            tool = Tool(snippet, place, {"3.12": second} if second else {})
            table[name] = {edit.id: judge(tool, edit) for edit in edits}
            tool.close()
    show(edits, table)


def show(edits: list[Edit], table: dict[str, dict[str, str]]) -> None:
    """Print the table and its totals."""
    wide = max(len(edit.what) for edit in edits) + 2
    print("id   want " + "edit".ljust(wide) + "".join(name.rjust(13) for name in table))
    for edit in edits:
        mark = "~" if edit.soft else " "
        want = "diff" if edit.noticed else "same"
        cells = "".join(column[edit.id].rjust(13) for column in table.values())
        print(f"{edit.id}{mark} {want} {edit.what.ljust(wide)}{cells}")
    print()
    hard = [edit for edit in edits if not edit.soft]
    soft = [edit for edit in edits if edit.soft]
    for label, rows, verdict in (
        (f"stale hits, of {sum(edit.noticed for edit in hard)} hard", hard, "STALE"),
        (f"needless misses, of {sum(not edit.noticed for edit in hard)} hard", hard, "miss"),
        ("soft (~): stale hits", soft, "STALE"),
        ("soft (~): needless misses", soft, "miss"),
        (f"right, of {len(edits)}", edits, "."),
        ("not applicable", edits, "n/a"),
    ):
        counts = "".join(str(sum(column[edit.id] == verdict for edit in rows)).rjust(13) for column in table.values())
        print(label.ljust(wide + 10) + counts)


if __name__ == "__main__":
    main()
