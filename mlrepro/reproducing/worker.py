"""The clean process: ``python -P -m mlrepro.reproducing.worker`` reads a task on stdin and answers in a file."""

import os
import pickle
import sys
import threading
import traceback
import warnings
from pathlib import Path

from mlrepro.reproducing.workspace import remove

_ORPHANED = 3


def main() -> None:
    """Compute one task."""
    stream = sys.stdin.buffer
    size = int.from_bytes(stream.read(8), "big")
    payload = stream.read(size)
    if len(payload) < size:
        sys.exit(_ORPHANED)
    roots, workspace, payload = pickle.loads(payload)  # noqa: S301 -- from the process that started this one
    threading.Thread(target=_end_with_parent, args=(stream.fileno(), workspace), daemon=True).start()
    sys.path[:0] = roots
    warnings.simplefilter("ignore")
    task = pickle.loads(payload)  # noqa: S301 -- likewise
    try:
        answer = task.perform()
    except Exception as error:  # noqa: BLE001 -- whoever asked is told, whatever it is
        from mlrepro.reproducing.task import Answer

        traceback.print_exc()
        answer = Answer("failed", [f"{type(error).__name__}: {error}"])
    partial = Path(f"{task.answer}.part")
    partial.write_bytes(pickle.dumps(answer))
    partial.rename(task.answer)


def _end_with_parent(descriptor: int, workspace: str) -> None:
    """Whoever asked holds the other end of stdin: when it is killed, nobody waits for the answer, nor tidies up."""
    while os.read(descriptor, 1):  # not by sys.stdin, whose lock the interpreter takes when it ends
        pass
    remove(Path(workspace))
    os._exit(_ORPHANED)


if __name__ == "__main__":
    main()
