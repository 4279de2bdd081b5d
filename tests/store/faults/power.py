"""A disk of which only what was synced outlives a power cut.

The model is simple and strict: the bytes of a file are safe once the file was synced, a name in a folder once the
folder was. What was not synced may be lost, or may be there: a name without its bytes, bytes that are garbage.
"""

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mlrepro.store import Store

Loss = Literal["all that was not synced", "bytes", "bytes, for garbage", "some names"]
LOSSES: tuple[Loss, ...] = ("all that was not synced", "bytes", "bytes, for garbage", "some names")

Check = Callable[[Store], None]
"""Asserts that something is in a store."""


@dataclass(eq=False)
class File:
    data: bytes = b""
    synced: bytes = b""


@dataclass(eq=False)
class Folder:
    names: dict[str, "File | Folder"] = field(default_factory=dict)
    synced: dict[str, "File | Folder"] = field(default_factory=dict)


class Recorder:
    """Records what is done below a folder, whatever calls these functions of ``os``.

    Attributes:
        done: Every operation that succeeded, in order.
        reported: What was reported as stored: after how many operations, and how to see that it is there.
        after_each: Called after each operation with how many there were; what it does is recorded too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[tuple[Any, ...]] = []
        self.reported: list[tuple[int, Check]] = []
        self.after_each: Callable[[int], None] = lambda count: None
        self._numbers: dict[int, int] = {}

    def report(self, check: Check) -> None:
        """Something was reported as stored: from here on the check has to hold, whenever the power is cut."""
        self.reported.append((len(self.done), check))

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "open", self._opening(os.open))
            patched.setattr(os, "write", self._writing(os.write))
            patched.setattr(os, "fsync", self._syncing(os.fsync))
            for name in ("link", "replace", "mkdir", "unlink"):
                patched.setattr(os, name, self._named(name, getattr(os, name)))
            yield

    def _note(self, *operation: Any) -> None:
        self.done.append(operation)
        self.after_each(len(self.done))

    def _inside(self, path: Any) -> bool:
        return Path(path).is_relative_to(self.root)

    def _opening(self, original: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            number = original(path, flags, *rest, **named)
            self._numbers.pop(number, None)
            if self._inside(path):
                self._numbers[number] = len(self.done)
                self._note("create" if flags & os.O_CREAT else "open", Path(path), len(self.done))
            return number

        return opened

    def _writing(self, original: Callable[..., int]) -> Callable[..., int]:
        def write(number: int, data: Any) -> int:
            written = original(number, data)
            if number in self._numbers:
                self._note("write", self._numbers[number], bytes(memoryview(data)[:written]))
            return written

        return write

    def _syncing(self, original: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(number: int) -> None:
            if (
                number in self._numbers
            ):  # the model's disk is the one that counts, so the true one need not be waited for
                self._note("fsync", self._numbers[number])
            else:
                original(number)

        return fsync

    def _named(self, name: str, original: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **named: Any) -> None:
            original(*arguments, **named)
            paths = [Path(each) for each in arguments if isinstance(each, str | os.PathLike)]
            if self._inside(paths[-1]):
                self._note(name, *paths)

        return call


class Disk:
    """What the operations leave behind, with all that a power cut may do to it."""

    def __init__(self, root: Path) -> None:
        self._path = root
        self._root = Folder()
        self._opened: dict[int, File | Folder] = {}

    def apply(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case ("create", path, number):
                self._opened[number] = File()
                self._put(path, self._opened[number])
            case ("open", path, number):
                self._opened[number] = self._at(path)
            case ("write", number, data):
                self._file(number).data += data
            case ("fsync", number):
                item = self._opened[number]
                if isinstance(item, File):
                    item.synced = item.data
                else:
                    item.synced = dict(item.names)
            case ("link", source, target):
                self._put(target, self._at(source))
            case ("replace", source, target):
                self._put(target, self._at(source))
                del self._folder(source.parent).names[source.name]
            case ("mkdir", path):
                self._put(path, Folder())
            case ("unlink", path):
                del self._folder(path.parent).names[path.name]
            case _:
                raise AssertionError(operation)

    def after_a_cut(self, target: Path, loss: Loss, choice: random.Random) -> None:
        """Write to a new folder what may be there after a power cut."""
        self._write(self._root, target, loss, choice)

    def _write(self, folder: Folder, target: Path, loss: Loss, choice: random.Random) -> None:
        target.mkdir()
        for name, item in self._left(folder, loss, choice).items():
            if isinstance(item, Folder):
                self._write(item, target / name, loss, choice)
                continue
            unsynced = len(item.data) - len(item.synced)
            garbage = choice.randbytes(unsynced) if loss == "bytes, for garbage" else b""
            (target / name).write_bytes(item.synced + garbage)

    @staticmethod
    def _left(folder: Folder, loss: Loss, choice: random.Random) -> dict[str, File | Folder]:
        if loss == "all that was not synced":
            return folder.synced
        if loss != "some names":
            return folder.names
        left = dict(folder.synced)
        for name in {*folder.names, *folder.synced}:
            if folder.names.get(name) is not folder.synced.get(name) and choice.random() < 0.5:
                left.pop(name, None)
                if name in folder.names:
                    left[name] = folder.names[name]
        return left

    def _file(self, number: int) -> File:
        item = self._opened[number]
        assert isinstance(item, File)
        return item

    def _at(self, path: Path) -> File | Folder:
        item: File | Folder = self._root
        for part in path.relative_to(self._path).parts:
            assert isinstance(item, Folder)
            item = item.names[part]
        return item

    def _folder(self, path: Path) -> Folder:
        item = self._at(path)
        assert isinstance(item, Folder)
        return item

    def _put(self, path: Path, item: File | Folder) -> None:
        self._folder(path.parent).names[path.name] = item
