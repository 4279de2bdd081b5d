"""Breaking a store on purpose."""

from pathlib import Path

from mlrepro.store import Store


def blob_file(store: Store, digest: str, scope: str = "default") -> Path:
    return Path(store.url.removeprefix("file://")) / scope / "blobs" / "sha256" / digest[:2] / digest


def flip_a_bit(path: Path, position: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
