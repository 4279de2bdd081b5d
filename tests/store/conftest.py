"""Every test that takes ``store`` or ``open_here`` runs on memory, on a folder and on a real S3 server."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrepro.store import Store, open_store
from tests.store.s3_server import S3Server, s3_server

OpenHere = Callable[..., Store]


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["memory", "folder", pytest.param("s3", marks=pytest.mark.slow)])
def open_here(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHere:
    """Opens the test's own place, as often as it is called."""
    name, options = uuid.uuid4().hex, {}
    match request.param:
        case "memory":
            url = f"memory://{name}"
        case "folder":
            url = (tmp_path / "store").as_uri()
        case "s3":
            server = request.getfixturevalue("s3")
            url, options = f"s3://mlrepro/{name}", server.options

    def open_again(scope: str = "default", **kwargs: object) -> Store:
        return open_store(url, scope=scope, options=options, **kwargs)  # type: ignore[arg-type]

    return open_again


@pytest.fixture
def store(open_here: OpenHere) -> Store:
    return open_here()


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
