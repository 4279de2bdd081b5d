import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrepro.store import Store, open_store
from tests.store.s3_server import S3Server, s3_server


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), options={"durable": "false"})


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_store(s3: S3Server) -> Store:
    return open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=s3.options)
