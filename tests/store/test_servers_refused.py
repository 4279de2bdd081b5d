"""A server that takes the condition of put-if-absent and ignores it: what races there is lost without a word."""

from pathlib import Path

import pytest

from mlrepro.errors import StoreError
from mlrepro.store import open_store
from tests.store.other_servers import client, rclone_server

pytestmark = pytest.mark.slow


def test_a_store_on_rclone_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with rclone_server(tmp_path) as server:
        store = open_store("s3://mlrepro/store", options=server.options)
        for write in (lambda: store.write_value(1), lambda: store.put_result("5eed" * 16, {"value": 1})):
            with pytest.raises(
                StoreError, match=r"s3://mlrepro/store ignores put-if-absent .* Use a store that honours"
            ):
                write()
        found = client(server).list_objects_v2(Bucket="mlrepro")["Contents"]
        assert [each["Key"] for each in found] == ["store/default/store.json"], "only the probe"
        assert store.get_result("5eed" * 16) is None, "what is there can be read"
