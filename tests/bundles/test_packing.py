import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlrepro.bundles import File, Link, fetch, pack, store_bundle
from mlrepro.errors import BundleError
from mlrepro.store import open_store
from tests.bundles.project import PROJECT, commit, git, write_tree

PRIVATE_KEY = (
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
)  # in two parts, or it would look like one itself


def test_a_tree_has_one_digest_whatever_its_place_time_owner_and_umask(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "ada" / "checkout")
    commit(first)
    umask = os.umask(0o077)
    try:
        git(tmp_path, "clone", "-q", str(first), str(tmp_path / "ben"))
    finally:
        os.umask(umask)
    second = tmp_path / "ben"
    for path in second.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert (first / "README.md").stat().st_mode != (second / "README.md").stat().st_mode
    assert pack(first).digest == pack(second).digest


@pytest.mark.parametrize(
    "owner", [None, pytest.param(12345, marks=pytest.mark.skipif(os.getuid() != 0, reason="gives files away"))]
)
def test_another_owner_locale_and_hash_seed_give_the_same_digest(tmp_path: Path, owner: int | None) -> None:
    root = write_tree(tmp_path / "p", {**PROJECT, "straße/ü.py": "x = 1\n"})
    here = pack(root).digest
    if owner is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, owner, owner)
    code = f"from mlrepro.bundles import pack; print(pack({os.fsencode(root)!r}.decode()).digest)"
    surroundings = {**os.environ, "LC_ALL": "C", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings)
    assert done.stdout.strip() == here


def test_without_git_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    tracked = write_tree(tmp_path / "git", {**PROJECT, ".gitignore": "*.log\nbuild/\n!keep.log\n"})
    commit(tracked)
    plain = write_tree(tmp_path / "plain", {**PROJECT, ".gitignore": "*.log\nbuild/\n!keep.log\n"})
    for root in (tracked, plain):
        write_tree(root, {"run.log": "x", "build/out.py": "x", "pricing/__pycache__/a.pyc": "x"})
    assert pack(tracked).digest == pack(plain).digest


@pytest.mark.parametrize("with_git", [True, False])
def test_gitignore_is_respected_at_every_depth(tmp_path: Path, with_git: bool) -> None:
    root = write_tree(
        tmp_path,
        {
            ".gitignore": "*.csv\n/data/\nsecret*\n",
            "a.csv": "",
            "data/x.py": "",
            "lib/data/x.py": "",
            "lib/.gitignore": "!small.csv\nlocal.py\n",
            "lib/small.csv": "",
            "lib/local.py": "",
            "local.py": "",
        },
    )
    if with_git:
        commit(root)
    assert list(pack(root).manifest.entries) == [
        ".gitignore", "lib/.gitignore", "lib/data/x.py", "lib/small.csv", "local.py"
    ]  # fmt: skip


def test_what_git_does_not_track_stays_out_unless_it_is_declared(tmp_path: Path) -> None:
    settings = "[tool.mlrepro.bundle]\ninclude = ['generated/*.py', 'notes.md']\nexclude = ['README.md', '*.md']\n"
    root = write_tree(tmp_path, {**PROJECT, "pyproject.toml": settings, ".gitignore": "generated/\n"})
    commit(root)
    write_tree(root, {"draft.py": "", "generated/model.py": "", "generated/model.txt": "", "notes.md": ""})
    names = list(pack(root).manifest.entries)
    assert "generated/model.py" in names
    assert {"draft.py", "generated/model.txt", "notes.md", "README.md"}.isdisjoint(names)


def test_the_working_tree_is_packed_as_it_is(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    commit(root)
    before = pack(root)
    (root / "pricing/query.sql").write_text("select 2\n")
    (root / "README.md").unlink()
    after = pack(root)
    assert "README.md" not in after.manifest.entries
    assert after.digest != before.digest


def test_only_the_location_s_folder_of_a_larger_repository_is_packed(tmp_path: Path) -> None:
    write_tree(tmp_path / "teams" / "pricing")
    write_tree(tmp_path, {"other.py": ""})
    commit(tmp_path)
    assert list(pack(tmp_path / "teams" / "pricing").manifest.entries) == sorted(PROJECT)


def test_executable_files_and_links_inside_the_tree_are_kept(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "p")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o4775)
    (root / "current").symlink_to("pricing")
    (root / "pricing" / "about.md").symlink_to("../README.md")
    packed = pack(root)
    assert packed.manifest.entries["current"] == Link("pricing")
    assert packed.manifest.entries["run.sh"] == File(packed.manifest.entries["run.sh"].digest, 10, executable=True)  # type: ignore[union-attr]
    store = open_store("memory://executable")
    store_bundle(packed, store)
    tree = fetch(store, packed.digest, tmp_path / "cache")
    assert (tree / "run.sh").stat().st_mode & 0o7777 == 0o555
    assert (tree / "current" / "query.sql").read_text() == "select 1\n"
    assert (tree / "pricing/about.md").read_text() == "# Pricing\n"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "leads out of it"),
        ("../outside", "leads out of it"),
        ("pricing/../../outside", "leads out of it"),
        ("nowhere", "no file or folder of the bundle"),
        ("loop", "no file or folder of the bundle"),
        ("first/query.sql", "no file or folder of the bundle"),
        ("first/../README.md", "leads out of it"),
    ],
)
def test_a_link_that_leads_out_or_nowhere_is_refused(tmp_path: Path, target: str, why: str) -> None:
    root = write_tree(tmp_path / "p")
    write_tree(tmp_path, {"outside/query.sql": "x"})
    (root / "first").symlink_to("pricing")
    (root / "loop").symlink_to(target)
    with pytest.raises(BundleError, match=why):
        pack(root)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", "A=1"),
        ("deploy/.env.production", "A=1"),
        ("id_rsa", "anything"),
        ("ssh/id_ed25519", "anything"),
        ("server.pem", PRIVATE_KEY),
        ("notes.txt", "so: " + PRIVATE_KEY),
        ("kubeconfig", "clusters: []"),
        (".kube/config", "clusters: []"),
        ("home/.aws/credentials", ""),
        ("config.py", "KEY = 'AKIA" + "Q3EGT7WPMAZ5XN2B'"),
        ("config.py", "aws_secret_access_key = '" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzRk2Lq8sVt'"),
        ("ci.yaml", "token: ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"),
        ("app.py", "SLACK = 'xoxb-" + "123456789012-abcdefghijklmnop'"),
        ("k.yaml", "client-key-data: " + "A" * 60),
        (".netrc", "machine x"),
        ("keys.p12", "x"),
    ],
)
def test_what_looks_like_a_secret_is_refused_by_name_and_never_shown(tmp_path: Path, name: str, text: str) -> None:
    root = write_tree(tmp_path, {**PROJECT, name: text})
    with pytest.raises(BundleError) as caught:
        pack(root)
    assert f"{root / name} looks like " in str(caught.value)
    assert "allow_secrets" in str(caught.value)
    assert len(text) < 20 or text[-20:] not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env.example", "A="),
        ("id_rsa.pub", "ssh-rsa AAAA"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB"),
        ("config.py", "KEY = 'AKIAIOSFODNN7EXAMPLE'  # as in the manual"),
        ("config.py", "aws_secret_access_key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'"),
        ("config.py", "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']"),
        ("environment.py", "password = os.environ['PASSWORD']"),
        (".npmrc", "//registry.npmjs.org/:_authToken = ${NPM_TOKEN_OF_THE_TEAM}"),
        ("digests.json", '{"sha256": "' + "5eed" * 16 + '"}'),
    ],
)
def test_what_only_speaks_of_secrets_is_packed(tmp_path: Path, name: str, text: str) -> None:
    assert name in pack(write_tree(tmp_path, {**PROJECT, name: text})).manifest.entries


def test_everything_that_is_refused_is_named_at_once(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {**PROJECT, ".env": "", "data.bin": b"x" * 10_000_001, "keys/id_rsa": ""})
    with pytest.raises(BundleError, match=r"\.env looks like .*\(refused too: data\.bin, keys/id_rsa\)"):
        pack(root)


def test_a_key_of_the_tests_can_be_allowed(tmp_path: Path) -> None:
    settings = "[tool.mlrepro.bundle]\nallow_secrets = ['tests/keys/*']\n"
    root = write_tree(tmp_path, {"pyproject.toml": settings, "tests/keys/server.pem": PRIVATE_KEY})
    assert "tests/keys/server.pem" in pack(root).manifest.entries
    write_tree(root, {"server.pem": PRIVATE_KEY})
    with pytest.raises(BundleError, match=r"/server\.pem looks like a private key"):
        pack(root)


def test_a_file_that_is_too_large_is_refused_with_its_size_and_the_setting(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {**PROJECT, "data.bin": b"x" * 10_000_001})
    with pytest.raises(BundleError, match=r"data\.bin is 10\.0 MB.*max_file_size \(10\.0 MB\)"):
        pack(root)
    (root / "pyproject.toml").write_text("[tool.mlrepro.bundle]\nmax_file_size = '20MB'\nmax_size = '10MB'\n")
    with pytest.raises(BundleError, match=r"take 10\.0 MB.*max_size \(10\.0 MB\).*the largest is data\.bin"):
        pack(root)
    (root / "pyproject.toml").write_text("[tool.mlrepro.bundle]\nmax_file_size = '20MB'\n")
    assert "data.bin" in pack(root).manifest.entries


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.mlrepro.bundle]\ninlcude = []\n", "inlcude"),
        ("[tool.mlrepro.bundle]\nmax_size = 'huge'\n", "max_size"),
        ("[tool.mlrepro.bundle]\nmax_size = '5GB'\n", "max_size"),
        ("[tool.mlrepro]\nbundle = 7\n", r"\[bundle\] has to be a table"),
        ("[tool", "can't be read"),
        ("[tool.mlrepro.bundle]\ninclude = ['a/**/']\nexclude = 'x'\n", "exclude"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BundleError, match=why):
        pack(write_tree(tmp_path, {**PROJECT, "pyproject.toml": text}))


def test_names_that_are_one_on_other_machines_are_refused(tmp_path: Path) -> None:
    for number, pair in enumerate([("a.py", "A.py"), ("caf\u00e9.py", "cafe\u0301.py"), ("Lib/x.py", "lib/y.py")]):
        with pytest.raises(BundleError, match="are one on file systems"):
            pack(write_tree(tmp_path / str(number), dict.fromkeys(pair, "")))


@pytest.mark.parametrize("make", ["fifo", "device", "bad name", "unreadable"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: str) -> None:
    root = write_tree(tmp_path)
    if make == "fifo":
        os.mkfifo(root / "pipe")
    elif make == "device":
        (root / "device").symlink_to("/dev/null")
    elif make == "bad name":
        Path(os.fsdecode(os.fsencode(root) + b"/\xff.py")).touch()
    else:
        write_tree(root, {"new\nline.py": ""})
    with pytest.raises(BundleError):
        pack(root)


def test_nothing_to_pack_says_why(tmp_path: Path) -> None:
    write_tree(tmp_path / "repo", {"a.py": ""})
    commit(tmp_path / "repo")
    write_tree(tmp_path / "repo" / "new", {"b.py": ""})
    with pytest.raises(BundleError, match="git tracks nothing there"):
        pack(tmp_path / "repo" / "new")
    with pytest.raises(BundleError, match="is no folder"):
        pack(tmp_path / "nowhere")


def test_only_what_changed_is_sent(tmp_path: Path) -> None:
    root, store = write_tree(tmp_path), open_store("memory://sent")
    first = pack(root)
    assert store_bundle(first, store).files == 5
    (root / "pricing/query.sql").write_text("select 2\n")
    second = pack(root)
    known = {entry.digest for entry in first.manifest.entries.values() if isinstance(entry, File)}
    sent = store_bundle(second, store, known=known)
    assert (sent.files, sent.size) == (1, 9)


def test_a_file_that_changes_while_it_is_sent_is_noticed(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    packed = pack(root)
    (root / "README.md").write_text("# other\n")
    with pytest.raises(BundleError, match="changed while it was packed"):
        store_bundle(packed, open_store("memory://changing"))


def test_five_hundred_files_are_packed_in_a_second(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {f"p{n % 20}/m{n}.py": f"x = {n}\n" * 100 for n in range(500)})
    began = time.monotonic()
    pack(root)
    assert time.monotonic() - began < 5  # 0.2 s on a quiet machine
