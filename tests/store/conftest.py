"""Every test that takes ``store`` or ``open_here`` runs on memory, on a folder and on real S3 servers.

``MLREPRO_TEST_S3_URL=s3://bucket/prefix`` adds any other S3: credentials, region and endpoint by the usual ``AWS_…``.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrepro.store import Store, open_store
from tests.store.other_servers import moto_server
from tests.store.s3_server import BUCKET, S3Server, s3_server

OpenHere = Callable[..., Store]
YOURS = os.environ.get("MLREPRO_TEST_S3_URL")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


def _places() -> list[object]:
    slow = ["s3", "moto", *(["yours"] if YOURS else [])]
    return ["memory", "folder", *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


@pytest.fixture(params=_places())
def open_here(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHere:
    """Opens the test's own place, as often as it is called."""
    name, options = uuid.uuid4().hex, {}
    match request.param:
        case "memory":
            url = f"memory://{name}"
        case "folder":
            url = (tmp_path / "store").as_uri()
        case "yours":
            url = f"{YOURS}/{name}"
        case server_name:
            server: S3Server = request.getfixturevalue(server_name)
            url, options = f"s3://{BUCKET}/{name}", server.options

    def open_again(scope: str = "default", **kwargs: object) -> Store:
        return open_store(url, scope=scope, options=options, **kwargs)  # type: ignore[arg-type]

    return open_again


@pytest.fixture
def store(open_here: OpenHere) -> Store:
    return open_here()


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
