import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import obstore
import pytest

from mlrepro.errors import MlreproError, StoreError
from mlrepro.store import open_store
from tests.store.faults import files_below
from tests.store.s3_server import S3Server


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "is not a store URL"),
        (" ", "is not a store URL"),
        ("ftp://host/x", "no known kind of store. Known: file:///folder"),
        ("http://host/x", "no known kind"),
        ("file://relative/x", "three slashes"),
        ("file://", "names no folder"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/a/../b", "may not have"),
        ("s3://bucket/a?region=x", "query"),
        ("s3://bucket/a\nb", "control characters"),
    ],
)
def test_a_bad_url_is_a_clear_error(url: str, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("/x", {"durible": "1"}),
        ("/x", {"durable": "perhaps"}),
        ("memory://x", {"a": "b"}),
        ("s3://b/x", {"nonsense": "1"}),
    ],
)
def test_a_bad_option_is_a_clear_error(url: str, options: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=f"{next(iter(options))}"):
        open_store(url, options=options)


@pytest.mark.parametrize("scope", ["a/b", "", "..", "ü"])
def test_a_bad_scope_is_a_clear_error(scope: str) -> None:
    with pytest.raises(StoreError, match="store scope"):
        open_store("memory://x", scope=scope)
    with pytest.raises(StoreError, match="store scope"):
        open_store("memory://x", read_scopes=[scope])


def test_opening_touches_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "new"))
    assert store.get_result("a" * 64) is None
    assert not store.has_blob("a" * 64)
    assert store.newest(("versions", "a")) is None
    assert not (tmp_path / "new").exists()
    store.check()
    assert files_below(tmp_path / "new") == set()


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_folder_can_be_named_in_several_ways(tmp_path: Path, form: str) -> None:
    store = open_store(form.format(tmp_path / "a b"))
    if form == "{}":
        store.write_value(1)
        assert (tmp_path / "a b" / "default" / "blobs").is_dir()
    else:
        open_store(form.format(f"{tmp_path}/a%20b")).write_value(1)
        assert (tmp_path / "a b" / "default" / "blobs").is_dir()


def test_memory_is_shared_by_name_within_the_process() -> None:
    name = uuid.uuid4().hex
    stored = open_store(f"memory://{name}/inner").write_value("x")
    assert open_store(f"memory://{name}/inner").read_value(stored) == "x"
    assert not open_store(f"memory://{name}").has_blob(stored.content_hash)
    assert not open_store("memory://other").has_blob(stored.content_hash)


@pytest.mark.parametrize("below", ["", "/store"])
def test_a_file_does_not_look_like_an_empty_store(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    store = open_store(f"{tmp_path}/file{below}")
    for call in (
        lambda: list(store.histories(("versions",))),
        lambda: store.newest(("versions", "a")),
        lambda: list(store.entries(("versions", "a"))),
        lambda: store.get_result("a" * 64),
        lambda: store.has_blob("a" * 64),
        lambda: store.read_bytes("a" * 64),
    ):
        with pytest.raises(StoreError, match=f"{tmp_path}/file{below} is no folder"):
            call()
    with pytest.raises(StoreError, match="Not a directory"):
        store.write_value(1)


def test_a_folder_below_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=f"{tmp_path}/file/store.*Not a directory"):
        open_store(f"{tmp_path}/file/store").write_value(1)


READ_ONLY = """
import os, sys
from mlrepro.errors import StoreError
from mlrepro.store import StoredValue, open_store
stored = StoredValue.from_json(eval(sys.argv[2]))
open_store("memory://").write_value("import all that is needed while the libraries can be read")
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = open_store(sys.argv[1])
print(store.read_value(stored))
try:
    store.write_value(2)
except StoreError as error:
    print(error)
"""


def test_a_read_only_folder_can_be_read_and_says_why_it_cannot_be_written() -> None:
    # Not pytest's folder: another user cannot pass through it.
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o755)
        store = open_store(str(root / "store"))
        stored = store.write_value("readable")
        shutil.rmtree(root / "store" / "default" / "tmp")
        for folder, _, _ in os.walk(root / "store"):
            Path(folder).chmod(0o555)
        told = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(root / "store"), repr(stored.to_json())],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        assert told[0] == "readable"
        assert told[1] == f"Could not probe the store in {root}/store/default/tmp: Permission denied"
    finally:
        for folder, _, _ in os.walk(root / "store"):
            Path(folder).chmod(0o755)
        shutil.rmtree(root)


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="no hard links, which put-if-absent needs"):
        open_store(str(tmp_path)).write_value(1)


def test_a_store_that_ignores_put_if_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put

    def ignore_mode(*args: object, mode: object = None, **kwargs: object) -> object:
        return put(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", ignore_mode)
    store = open_store(f"memory://{uuid.uuid4().hex}")
    for call in (lambda: store.write_value(1), lambda: store.put_result("a" * 64, {}), store.check):
        with pytest.raises(StoreError, match="ignores put-if-absent"):
            call()


def test_a_store_that_is_found_good_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    asked = []
    check = type(store._objects).check
    monkeypatch.setattr(type(store._objects), "check", lambda self, scope: asked.append(scope) or check(self, scope))
    store.write_value(1)
    store.write_value(2)
    open_store(store.url).write_value(3)
    assert asked == ["default"]


def test_not_syncing_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor) or fsync(descriptor))
    open_store(str(tmp_path), options={"durable": "false"}).write_value(1)
    assert synced == []
    open_store(str(tmp_path)).write_value(2)
    assert len(synced) >= 2, "the file, and the folder that names it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "url", "told"),
    [
        ({}, "s3://no-such-bucket/x", "bucket does not exist: create it"),
        ({"secret_access_key": "wrong"}, "s3://mlrepro/x", "SignatureDoesNotMatch.*check the secret key"),
        ({"access_key_id": "wrong"}, "s3://mlrepro/x", "InvalidAccessKeyId.*check the access key"),
        ({"endpoint": "http://127.0.0.1:9"}, "s3://mlrepro/x", "cannot be reached: check the endpoint"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_said(s3: S3Server, change: dict[str, str], url: str, told: str) -> None:
    store = open_store(url, options=s3.options | change)
    expected = rf"(?s){url}.*{told}"
    with pytest.raises(MlreproError, match=expected):
        store.write_value(1)


@pytest.mark.slow
def test_credentials_that_may_only_read_read(s3: S3Server) -> None:
    url = f"s3://mlrepro/{uuid.uuid4().hex}"
    stored = open_store(url, options=s3.options).write_value("x")
    reader = open_store(url, options=s3.reader_options)
    assert reader.read_value(stored) == "x"
    with pytest.raises(StoreError, match=r"AccessDenied.*lack the right"):
        reader.write_value("y")


@pytest.mark.slow
def test_a_bucket_is_reached_through_the_usual_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.options["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.options["secret_access_key"])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}/deep er/")
    assert store.read_value(store.write_value("x")) == "x"
