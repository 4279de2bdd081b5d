"""`mlrepro push`: pack, store, load once from the store in a clean process, and only then append the version."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrepro.bundles import locks
from mlrepro.bundles.extracting import fetch, read_manifest
from mlrepro.bundles.git import GitState, git_state
from mlrepro.bundles.manifest import File
from mlrepro.bundles.packing import Packed, Progress, Sent, pack, store_bundle
from mlrepro.bundles.proving import Proof, import_root, prove
from mlrepro.bundles.workflow import KINDS
from mlrepro.catalog import find_store
from mlrepro.catalog.workflows import WorkflowVersion, append_push, current_version
from mlrepro.errors import BundleError, StoreError
from mlrepro.resources.user import launched_by
from mlrepro.store import Store

_PATIENCE = 300.0


@dataclass(frozen=True)
class Pushed:
    """What `push` did.

    Attributes:
        version: The version that is served now.
        new: Whether it is a new one; otherwise nothing had changed.
        packed: The bundle; None where the image holds the code.
        sent: Files that were sent, and their bytes.
        before: The version that was served before, or None.
    """

    version: WorkflowVersion
    new: bool
    packed: Packed | None
    sent: Sent
    before: WorkflowVersion | None

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {
            **self.version.to_json(),
            "new": self.new,
            "files": 0 if self.packed is None else len(self.packed.manifest.entries),
            "files_sent": self.sent.files,
            "bytes_sent": self.sent.size,
            "before": None if self.before is None else self.before.number,
        }

    def __str__(self) -> str:
        if self.packed is None:
            shown, sent = f"image {self.version.image}", ""
        else:
            shown = f"bundle {self.packed.digest[:12]}, {len(self.packed.manifest.entries)} files"
            sent = f", {self.sent.files} sent"
        if not self.new:
            return f"{self.version.name} is served already ({shown}): nothing changed"
        counted = self.version.body["counts"]
        counts = ", ".join(
            f"{counted[kind]} {kind if counted[kind] != 1 else kind[:-1]}" for kind in KINDS if kind in counted
        )
        same = self.before is not None and self.before.digest == self.version.digest
        told = "the same definitions" if same else counts
        return f"{self.version.name} ({told}; {shown}{sent})"


def push(
    location: str,
    module: str,
    *,
    root: str | Path = ".",
    attribute: str | None = None,
    store: Store | str | None = None,
    who: str | None = None,
    reason: str = "",
    image: str | None = None,
    bundle: bool = True,
    allow_lock_drift: bool = False,
    again: bool = False,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    timeout: float = _PATIENCE,
) -> Pushed:
    """Make the source of a code location its newest workflow version.

    Args:
        location: The code location, as workspace.yaml names it.
        module: The module with the definitions.
        root: The project's folder.
        attribute: The definitions' name in the module, where it holds several.
        store: A store or its URL. Default: as the resource finds it.
        who: Default: ``MLREPRO_USER``, then the operating system's user.
        reason: Why, for the history.
        image: The container image that runs it, for the history.
        bundle: Whether to make a bundle. Without one the version is what the image holds; push where it is built.
        allow_lock_drift: Go on though the libraries differ from those of the image.
        again: Push code that was rolled back from.
        cache: Where bundles are extracted. Default: ``MLREPRO_BUNDLE_CACHE``, then the user's cache folder.
        progress: Told how many files were sent.
        timeout: Seconds that loading the definitions may take.

    Raises:
        BundleError: It can't be packed, does not load, or its libraries differ. Nothing was appended.
        StoreError: The store failed.
    """
    opened = find_store(store)
    if not bundle:
        return _push_image(
            location, module, attribute, Path(root).resolve(), opened, who, reason, image, again, timeout
        )
    packed = pack(root, apart=_no_source(opened))
    import_from = import_root(packed.root, module)
    before = current_version(opened, location)
    theirs = None if before is None else locks.recorded(opened, before.body)
    if not allow_lock_drift and locks.project_lock(packed.root) is not None:
        locks.check_drift(packed.root, {}, theirs)  # before anything is sent
    sent, tree = _deliver(packed, opened, before, cache, progress)
    proof = prove(tree, module, attribute, import_from, root=packed.root, timeout=timeout)
    if not allow_lock_drift:
        locks.check_drift(packed.root, proof.workflow.libraries, theirs)
    content = {
        **_content(opened, packed.root, module, attribute, import_from, proof, git_state(packed.root), image),
        "bundle": packed.stored.to_json(),
    }
    version, new = append_push(opened, location, content, who=who or launched_by(), reason=reason, again=again)
    return Pushed(version, new, packed, sent, before)


def _no_source(store: Store) -> list[Path]:
    """Folders that a push itself writes to, or Dagster: packed, each push would be another version than the last."""
    home = os.environ.get("DAGSTER_HOME")
    url = store.url.removeprefix("file://")
    return [Path(folder).resolve() for folder in (home, None if "://" in url else url) if folder]


def _push_image(
    location: str,
    module: str,
    attribute: str | None,
    root: Path,
    store: Store,
    who: str | None,
    reason: str,
    image: str | None,
    again: bool,
    timeout: float,
) -> Pushed:
    if not image:
        raise BundleError("without a bundle an image has to hold the code: name it with --image NAME:TAG")
    import_from = import_root(root, module)
    before = current_version(store, location)
    proof = prove(root, module, attribute, import_from, root=root, timeout=timeout)
    content = _content(store, root, module, attribute, import_from, proof, git_state(root), image)
    version, new = append_push(
        store, location, {**content, "bundle": None}, who=who or launched_by(), reason=reason, again=again
    )
    return Pushed(version, new, None, Sent(0, 0), before)


def _deliver(
    packed: Packed, store: Store, before: WorkflowVersion | None, cache: str | Path | None, progress: Progress | None
) -> tuple[Sent, Path]:
    """Store the bundle, sending what the one before lacks, and take it from the store again."""
    known: frozenset[str] = frozenset()
    if before is not None and before.bundle is not None:
        try:
            entries = read_manifest(store, before.bundle.content_hash).entries.values()
            known = frozenset(entry.digest for entry in entries if isinstance(entry, File))
        except BundleError:
            known = frozenset()  # then everything is sent
    sent = store_bundle(packed, store, known=known, progress=progress)
    try:
        return sent, fetch(store, packed.digest, cache)
    except BundleError:
        if not known:
            raise
        # something of the bundle before is gone from the store: this heals it
        sent = store_bundle(packed, store, progress=progress)
        return sent, fetch(store, packed.digest, cache)


def _content(
    store: Store,
    root: Path,
    module: str,
    attribute: str | None,
    import_from: str,
    proof: Proof,
    git: GitState | None,
    image: str | None,
) -> dict[str, Any]:
    lock = locks.project_lock(root)
    try:
        described = store.write_bytes(proof.workflow.to_bytes())
        freeze = store.write_bytes(proof.environment["freeze"].encode())
        pins = None if lock is None else store.write_bytes(locks.as_text(lock.versions).encode())
    except StoreError as error:
        raise type(error)(f"the workflow version can't be stored: {error}") from error
    return {
        "digest": proof.workflow.digest,
        "definitions": described,
        "counts": proof.workflow.counts,
        "module": module,
        "attribute": attribute,
        "import_from": import_from,
        "image": image,
        "git": None if git is None else git.to_json(),
        "environment": {**proof.environment, "freeze": freeze},
        "libraries": proof.workflow.libraries,
        "lock": None if lock is None or pins is None else {"file": lock.name, "pins": pins},
    }
