"""1,000 pushes of a project of 500 files: what the store grows by, beside 1,000 full tarballs of the same trees.

Each push changes three files, as a commit does. Packing and storing are timed; loading the definitions is not part of
it. Last, a build context's tarball of the tree stands for what an image build has to read and a registry to take in one
layer: docker is not needed here, so its build and its pull come on top.

    python benchmarks/bundles.py [--pushes 1000] [--files 500]
"""

import argparse
import io
import random
import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlrepro.bundles import File, fetch, pack, store_bundle
from mlrepro.store import open_store

CHANGED = 3


def source(number: int, random_: random.Random) -> str:
    """A module of 2 to 10 kB."""
    lines = [f"def f{n}(x):\n    return x * {random_.random()!r} + {n}\n" for n in range(random_.randint(40, 200))]
    return f'"""Module {number}."""\n\n' + "\n".join(lines)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tarball(root: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(root, arcname=".")
    return packed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=500)
    arguments = parser.parse_args()
    random_ = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        root, store_folder = Path(folder, "project"), Path(folder, "store")
        paths = [root / f"package{n % 25}" / f"module{n}.py" for n in range(arguments.files)]
        for number, path in enumerate(paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source(number, random_))
        store = open_store(str(store_folder), options={"durable": "false"})
        known: set[str] = set()
        seconds, tarballs, first = [], 0, 0
        for number in range(arguments.pushes):
            for path in random_.sample(paths, CHANGED) if number else ():
                path.write_text(source(number, random_))
            began = time.perf_counter()
            packed = pack(root)
            store_bundle(packed, store, known=known)
            seconds.append(time.perf_counter() - began)
            known = {entry.digest for entry in packed.manifest.entries.values() if isinstance(entry, File)}
            if number % 50 == 0:  # they differ by little: every fiftieth stands for its neighbours
                tarballs += len(tarball(root)) * min(50, arguments.pushes - number)
            if number == 0:
                first = size_of(store_folder)
        grown = size_of(store_folder)
        began = time.perf_counter()
        fetch(store, packed.digest, Path(folder, "cache"))
        extracted = time.perf_counter() - began
        print(f"{arguments.pushes:,} pushes, {CHANGED} of {arguments.files} files changed each")
        print(f"size of the project:        {size_of(root) / 1e6:8.1f} MB")
        print(f"store after the first push: {first / 1e6:8.1f} MB")
        each = (grown - first) / (arguments.pushes - 1)
        print(f"store after all:            {grown / 1e6:8.1f} MB ({each / 1e3:.1f} kB a push)")
        print(f"as gzipped tarballs:        {tarballs / 1e6:8.1f} MB; ratio {grown / tarballs:.3f}")
        print(f"pack and store, median:     {statistics.median(seconds[1:]):8.3f} s (the first {seconds[0]:.3f} s)")
        print(f"extract and check:          {extracted:8.3f} s")


if __name__ == "__main__":
    main()
