"""Fixtures that serve two teams until the end of the session, whatever it is that they have."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest


def served(start: Callable[[Path, str], AbstractContextManager[Any]], visibility: str) -> Any:
    """Make a fixture.

    Args:
        start: Serves what it writes to a folder.
        visibility: ``shared``: all in one instance; ``isolated``: an instance for each team.
    """

    @pytest.fixture(scope="session", name=visibility)
    def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        with start(tmp_path_factory.mktemp(visibility), visibility) as running:
            yield running

    return found
