"""sha256 in a second thread, so that hashing overlaps with writing and with the network."""

import hashlib
import queue
import threading
from typing import Final

from mlrepro.store.objects import Buffer

_INLINE: Final = 256 * 1024


class Sha256:
    """sha256 of bytes that are handed over piece by piece.

    ``hashlib`` releases the GIL, so large pieces are hashed by a thread while the caller goes on with the disk. The
    pieces may not change until ``hexdigest`` returns. The thread starts with the first large piece.

    Args:
        overlap: Whether to use the thread. It pays little for reading files, which the system reads ahead anyway.
    """

    def __init__(self, *, overlap: bool = True) -> None:
        self._hash = hashlib.sha256()
        self._overlap = overlap
        self._queue: queue.SimpleQueue[Buffer | threading.Event | None] | None = None
        self._thread: threading.Thread | None = None
        self.size = 0

    def update(self, data: Buffer) -> None:
        """Add bytes."""
        self.size += len(data)
        if self._queue is None and (not self._overlap or len(data) < _INLINE):
            self._hash.update(data)
            return
        if self._queue is None:
            self._queue = queue.SimpleQueue()
            self._thread = threading.Thread(target=self._work, args=(self._queue,), name="mlrepro-sha256", daemon=True)
            self._thread.start()
        self._queue.put(data)

    def catch_up(self) -> None:
        """Wait until all bytes are hashed, so that no more of them are held in memory."""
        if self._queue is not None:
            reached = threading.Event()
            self._queue.put(reached)
            reached.wait()

    def hexdigest(self) -> str:
        """Wait for what is outstanding; the hash of all bytes in lower-case hex."""
        self.stop()
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Let the thread end."""
        if self._queue is not None and self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._queue = self._thread = None

    def _work(self, pieces: "queue.SimpleQueue[Buffer | threading.Event | None]") -> None:
        while (piece := pieces.get()) is not None:
            if isinstance(piece, threading.Event):
                piece.set()
            else:
                self._hash.update(piece)
