"""`mlrepro code-server` that can't start says in one line why."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrepro.bundles.serving import serve
from mlrepro.errors import BundleError
from mlrepro.store import open_store


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody serves who shares it, as gRPC's servers do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_that_is_taken(tmp_path: Path, taken: int, host: str) -> None:
    with pytest.raises(BundleError, match=f"port {taken} of {host} is taken: name another by -p"):
        serve("pricing", open_store(str(tmp_path)), port=taken, host=host)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(BundleError, match=r"nowhere\.invalid:4000 is no address to serve on"):
        serve("pricing", store, port=4000, host="nowhere.invalid")
    with pytest.raises(BundleError, match=r"192\.0\.2\.1:4000 can't be served on: Cannot assign"):
        serve("pricing", store, port=4000, host="192.0.2.1")
    with pytest.raises(BundleError, match="not both"):
        serve("pricing", store)
