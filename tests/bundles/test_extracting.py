import hashlib
import importlib.util
import json
import multiprocessing
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlrepro.bundles import fetch, pack, store_bundle
from mlrepro.bundles.manifest import MAX_FILES, MAX_TOTAL
from mlrepro.errors import BundleError, CacheWarning, HostileBundleError
from mlrepro.store import Store, open_store
from mlrepro.store.keys import blob_key
from tests.bundles.project import PROJECT, write_tree

CONTENT = b"evil = True\n"
BLOB = hashlib.sha256(CONTENT).hexdigest()
FILE = {"sha256": BLOB, "size": len(CONTENT)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def push(store: Store, tmp_path: Path) -> str:
    packed = pack(write_tree(tmp_path / "project"))
    store_bundle(packed, store)
    return packed.digest


def test_the_tree_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    tree = fetch(store, push(store, tmp_path), tmp_path / "cache")
    found = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert found == PROJECT


def test_a_second_fetch_needs_no_store(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    tree = fetch(store, digest, tmp_path / "cache")
    shutil.rmtree(tmp_path / "store")
    assert fetch(store, digest, tmp_path / "cache") == tree


def _damage_bytes(tree: Path) -> None:
    (tree / "pricing/query.sql").chmod(0o644)
    (tree / "pricing/query.sql").write_text("select 9\n")


def _damage_link(tree: Path) -> None:
    (tree / "README.md").unlink()
    (tree / "README.md").symlink_to("/etc/hostname")


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "other bytes": _damage_bytes,
    "a file less": lambda tree: (tree / "README.md").unlink(),
    "a file more, which would be imported first": lambda tree: (tree / "json.py").write_text("raise SystemExit"),
    "a link in a file's place": _damage_link,
    "a folder that is a link": lambda tree: (tree / "more").symlink_to("pricing"),
    "an executable": lambda tree: (tree / "README.md").chmod(0o755),
    "no folder any more": lambda tree: (shutil.rmtree(tree), tree.write_text("")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tree_is_noticed_and_made_again(store: Store, tmp_path: Path, damage: str) -> None:
    digest = push(store, tmp_path)
    tree = fetch(store, digest, tmp_path / "cache")
    DAMAGES[damage](tree)
    with pytest.warns(CacheWarning, match="was damaged, and is made again"):
        again = fetch(store, digest, tmp_path / "cache")
    assert again == tree
    assert {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()} == PROJECT


def test_a_list_of_files_that_is_lost_is_written_again(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    tree = fetch(store, digest, tmp_path / "cache")
    (tmp_path / "cache" / f"{digest}.json").write_bytes(b"")  # as after a power cut
    inode = tree.stat().st_ino
    assert fetch(store, digest, tmp_path / "cache").stat().st_ino == inode
    assert hashlib.sha256((tmp_path / "cache" / f"{digest}.json").read_bytes()).hexdigest() == digest


def test_a_damaged_tree_stays_where_the_store_cannot_give_another(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    tree = fetch(store, digest, tmp_path / "cache")
    (tree / "output.csv").write_text("of a run that goes on")
    store._objects.delete(blob_key("default", digest))
    with pytest.raises(BundleError, match="push it again"):
        fetch(store, digest, tmp_path / "cache")
    assert (tree / "pricing/query.sql").is_file()


def test_what_the_interpreter_writes_beside_the_source_is_no_damage_and_is_removed(
    store: Store, tmp_path: Path
) -> None:
    digest = push(store, tmp_path)
    tree = fetch(store, digest, tmp_path / "cache")
    kept = tmp_path / "kept"
    write_tree(kept, {"x.pyc": "of somebody else"})
    write_tree(tree, {"pricing/__pycache__/definitions.cpython-311.pyc": "x", "pricing/__pycache__/deep/x.pyc": "x"})
    (tree / "__pycache__").symlink_to(kept)
    inode = tree.stat().st_ino
    assert fetch(store, digest, tmp_path / "cache").stat().st_ino == inode
    assert [path for path in tree.rglob("*") if "__pycache__" in path.parts] == []
    assert (kept / "x.pyc").is_file()


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode))
def test_hostile_bytecode_is_not_run_for_the_source(
    store: Store, tmp_path: Path, mode: py_compile.PycInvalidationMode
) -> None:
    source = "answer = 'source'\n"
    packed = pack(write_tree(tmp_path / "project", {"told.py": source}))
    store_bundle(packed, store)
    tree = fetch(store, packed.digest, tmp_path / "cache")
    # as large as the source, and as old
    evil = tmp_path / "evil.py"
    evil.write_text("answer = 'hacked'\n")
    times = (tree / "told.py").stat()
    os.utime(evil, ns=(times.st_atime_ns, times.st_mtime_ns))
    compiled = importlib.util.cache_from_source(str(tree / "told.py"))
    py_compile.compile(str(evil), cfile=compiled, invalidation_mode=mode, doraise=True)
    if mode is not py_compile.PycInvalidationMode.CHECKED_HASH:  # which Python itself finds out
        assert imported(tree) == "hacked"
    assert imported(fetch(store, packed.digest, tmp_path / "cache")) == "source"


def imported(tree: Path) -> str:
    program = "import told; print(told.answer)"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("gone", ["manifest", "file"])
def test_a_bundle_that_is_not_whole_in_the_store_leaves_nothing_behind(store: Store, tmp_path: Path, gone: str) -> None:
    digest = push(store, tmp_path)
    blob = digest if gone == "manifest" else hashlib.sha256(b"select 1\n").hexdigest()
    store._objects.delete(blob_key("default", blob))
    with pytest.raises(BundleError, match="push it again"):
        fetch(store, digest, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_damaged_file_in_the_store_is_never_extracted(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    blob = tmp_path / "store" / blob_key("default", hashlib.sha256(b"select 1\n").hexdigest())
    blob.chmod(0o644)
    blob.write_bytes(b"select 8\n")
    with pytest.raises(BundleError, match=r"pricing/query\.sql.*push it again"):
        fetch(store, digest, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*")) == []


def test_remains_of_a_killed_process_are_removed_after_a_day(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    old, young = tmp_path / "cache/.tmp-old", tmp_path / "cache/.tmp-young"
    write_tree(old, {"a.py": ""})
    write_tree(young, {"a.py": ""})
    os.utime(old, (1, 1))
    fetch(store, digest, tmp_path / "cache")
    assert (old.exists(), young.exists()) == (False, True)


def test_trees_that_nobody_asked_for_in_a_month_make_room(store: Store, tmp_path: Path) -> None:
    cache, digests = tmp_path / "cache", []
    for number in range(3):
        packed = pack(write_tree(tmp_path / "project", {"number.txt": f"{number}"}))
        store_bundle(packed, store)
        digests.append(packed.digest)
    for digest in digests[:2]:
        fetch(store, digest, cache)
        os.utime(cache / f"{digest}.json", (1, 1))
    fetch(store, digests[1], cache)  # asked for again
    fetch(store, digests[2], cache)
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == sorted(digests[1:])


def _fetched(url: str, digest: str, cache: str, gate: Any, answers: Any) -> None:
    store = open_store(url)
    gate.wait()
    tree = fetch(store, digest, cache)
    answers.put((str(tree), tree.stat().st_ino, sorted(path.name for path in tree.rglob("*.py"))))


def test_processes_at_once_share_one_tree(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(6), spawn.Queue()
    given = (store.url, digest, str(tmp_path / "cache"), gate, answers)
    processes = [spawn.Process(target=_fetched, args=given) for _ in range(6)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    assert len(set(map(str, found))) == 1
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted([digest, f"{digest}.json"])


def manifest(files: Any, **more: Any) -> bytes:
    return json.dumps({"schema": 1, "folder": files, **more}).encode()


HOSTILE: dict[str, bytes] = {
    "traversal": manifest({"../evil.py": FILE}),
    "traversal in the middle": manifest({"a/../../evil.py": FILE}),
    "traversal that comes back": manifest({"a/../evil.py": FILE}),
    "traversal at the end": manifest({"a/..": FILE}),
    "backslashes": manifest({"..\\evil.py": FILE}),
    "absolute": manifest({"/tmp/evil.py": FILE}),
    "absolute, twice": manifest({"//tmp/evil.py": FILE}),
    "the folder itself": manifest({".": FILE}),
    "no name": manifest({"": FILE}),
    "an empty part": manifest({"a//evil.py": FILE}),
    "a part that is a dot": manifest({"./evil.py": FILE}),
    "a NUL": manifest({"evil.py\0.txt": FILE}),
    "a new line": manifest({"evil\n.py": FILE}),
    "not UTF-8": manifest({"\udcff.py": FILE}),
    "a name of a thousand bytes": manifest({"a" * 1000: FILE}),
    "a thousand folders deep": manifest({"a/" * 1000 + "evil.py": FILE}),
    "a link to an absolute path": manifest({"etc": {"link": "/etc"}}),
    "a link out": manifest({"up": {"link": ".."}}),
    "a link far out": manifest({"a/up": {"link": "../../.."}, "a/b.py": FILE}),
    "a link out and in again": manifest({"a/x": {"link": "../../cache/a"}, "a/b.py": FILE}),
    "a link to nothing": manifest({"x": {"link": "nothing"}}),
    "a link to itself": manifest({"x": {"link": "x"}}),
    "a link to the root": manifest({"x": {"link": "."}, "b.py": FILE}),
    "an empty link": manifest({"x": {"link": ""}}),
    "a link through a link": manifest(
        {"a/b/c.py": FILE, "x": {"link": "a/b"}, "y": {"link": "x/../a"}, "z": {"link": "y"}}
    ),
    "a link that climbs through a link": manifest(
        {"d/y": {"link": "x/../b.py"}, "d/x": {"link": "../a/b"}, "d/b.py": FILE, "a/b/c.py": FILE}
    ),
    "a file below a link": manifest({"x": {"link": "a"}, "x/evil.py": FILE, "a/b.py": FILE}),
    "a file below a file": manifest({"x": FILE, "x/evil.py": FILE}),
    "a device": manifest({"null": {"device": [1, 3]}}),
    "a device beside a file": manifest({"null": {**FILE, "device": [1, 3]}}),
    "a pipe": manifest({"pipe": {"fifo": True}}),
    "a mode": manifest({"x": {**FILE, "mode": 0o4755}}),
    "executable, or so": manifest({"x": {**FILE, "executable": 2}}),
    "a hard link": manifest({"x": {"hardlink": "/etc/passwd"}}),
    "a link that is a file": manifest({"x": {**FILE, "link": "y"}, "y": FILE}),
    "a digest that is a path": manifest({"x": {"sha256": "../../etc/passwd", "size": 1}}),
    "a digest in capitals": manifest({"x": {"sha256": BLOB.upper(), "size": 12}}),
    "a size below nothing": manifest({"x": {"sha256": BLOB, "size": -1}}),
    "a size that is a text": manifest({"x": {"sha256": BLOB, "size": "12"}}),
    "a size that is true": manifest({"x": {"sha256": BLOB, "size": True}}),
    "a size with a fraction": manifest({"x": {"sha256": BLOB, "size": 12.0}}),
    "two cases of one name": manifest({"evil.py": FILE, "Evil.py": FILE}),
    "two cases of one folder": manifest({"a/x.py": FILE, "A/y.py": FILE}),
    "bytecode": manifest({"x.py": FILE, "__pycache__/x.cpython-311.pyc": FILE}),
    "bytecode without a source": manifest({"x.pyc": FILE}),
    "a folder and a file in two cases": manifest({"a/x.py": FILE, "A": FILE}),
    "two ways to write é": manifest({"caf\u00e9.py": FILE, "cafe\u0301.py": FILE}),
    "ß and ss": manifest({"stra\u00dfe.py": FILE, "strasse.py": FILE}),
    "a ligature": manifest({"\ufb01le.py": FILE, "file.py": FILE}),
    "one name twice": b'{"schema":1,"folder":{"x":' + json.dumps(FILE).encode() + b',"x":{"link":"/etc"}}}',
    "too many files": manifest({f"{n}": FILE for n in range(MAX_FILES + 1)}),
    "too many bytes": manifest({f"{n}": {"sha256": BLOB, "size": MAX_TOTAL // 4} for n in range(5)}),
    "a size beyond all numbers": manifest({"x": {"sha256": BLOB, "size": 10**30}}),
    "nested beyond all reason": b'{"schema":1,"folder":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no JSON": b"\x1f\x8b\x08\x00tar",
    "a list": b"[]",
    "no list of files": b'{"schema":1}',
    "a list of files that is one": manifest([["x", FILE]]),
    "a later schema": json.dumps({"schema": 2, "folder": {}}).encode(),
    "a schema that is true": json.dumps({"schema": True, "folder": {}}).encode(),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_bundle_is_refused_before_anything_is_written(store: Store, tmp_path: Path, attack: str) -> None:
    store.write_bytes(CONTENT)
    digest = store.write_bytes(HOSTILE[attack])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HostileBundleError):
        fetch(store, digest, tmp_path / "cache")
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] in ([], [tmp_path / "cache"])


@pytest.mark.parametrize("attack", ["absolute", "a link out", "too many files"])
def test_a_hostile_manifest_in_the_cache_is_not_believed(store: Store, tmp_path: Path, attack: str) -> None:
    digest = store.write_bytes(HOSTILE[attack])
    write_tree(tmp_path / "cache", {f"{digest}.json": HOSTILE[attack], f"{digest}/x.py": ""})
    with pytest.raises(HostileBundleError):
        fetch(store, digest, tmp_path / "cache")


def test_a_small_entry_that_is_a_huge_file_is_refused_unread(store: Store, tmp_path: Path) -> None:
    huge = store.write_bytes(b"\0" * 20_000_000)
    digest = store.write_bytes(manifest({"small.py": {"sha256": huge, "size": 12}}))
    with pytest.raises(BundleError, match=r"small\.py"):
        fetch(store, digest, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_manifest_that_is_huge_is_refused_unread(store: Store, tmp_path: Path) -> None:
    digest = store.write_bytes(b" " * (33 * 1024**2))
    with pytest.raises(HostileBundleError, match="list of files of"):
        fetch(store, digest, tmp_path / "cache")


@pytest.mark.parametrize("name", ["../../etc", "", "5EED" * 16, "5eed"])
def test_what_is_no_digest_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(Exception, match="is not a digest of a code bundle"):
        fetch(store, name, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_names_the_setting(store: Store, tmp_path: Path) -> None:
    digest = push(store, tmp_path)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BundleError, match="MLREPRO_BUNDLE_CACHE"):
        fetch(store, digest, tmp_path / "cache")
