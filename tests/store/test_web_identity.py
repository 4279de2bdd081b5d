"""A pod's own identity: the token that Kubernetes mounts is exchanged for keys at AWS's token service."""

import base64
import contextlib
import json
import ssl
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mlrepro.store import Store, open_store
from tests.store.s3_server import S3Server
from tests.store.test_credentials import VARIABLES

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/training"
TOKEN = "token-of-the-service-account"


@contextlib.contextmanager
def token_service(folder: Path, moto: S3Server) -> Iterator[tuple[str, list[str]]]:
    """moto's token service behind https, without which obstore does not hand over a token; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.path.partition("?")[2]  # moto reads the call from the body, as boto3 sends it
            asked.append(query)
            with urllib.request.urlopen(moto.endpoint, data=query.encode(), timeout=30) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder), folder / "key.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody but the test trusts."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs the package cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    return folder / "cert.pem"


@pytest.fixture
def pod(tmp_path: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a pod whose service account has a role."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
    return tmp_path


def use(store: Store, value: object) -> None:
    assert store.get_result(uuid.uuid4().hex * 2) is None
    assert store.read_value(store.write_value(value)) == value


def test_a_pod_needs_nothing_but_its_service_account(
    pod: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with token_service(pod, moto) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        monkeypatch.setenv("SSL_CERT_FILE", str(pod / "cert.pem"))
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}")
        use(store, [1, 2])
        exchanged = len(asked)
        assert exchanged <= 3, "once for look-ups, small writes and large bodies each"
        use(store, [3, 4])
        assert len(asked) == exchanged, "the keys are kept while they are good"
    assert "Action=AssumeRoleWithWebIdentity" in asked[0]
    assert f"WebIdentityToken={TOKEN}" in asked[0]


def test_boto3_exchanges_the_token_too(pod: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.endpoint)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(pod / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(pod / "none"))
    record(moto, "start-recording")
    store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options={"credentials": "boto3"})
    assert store.read_value(store.write_value([1, 2])) == [1, 2]
    asked = [json.loads(line) for line in record(moto, "download-recording").splitlines()]
    bodies = [base64.b64decode(each["body"]) if each["body_encoded"] else each["body"].encode() for each in asked]
    assert any(b"Action=AssumeRoleWithWebIdentity" in body and TOKEN.encode() in body for body in bodies)


def record(moto: S3Server, verb: str) -> str:
    """moto tells what it was asked."""
    data = b"" if verb.startswith("start") else None
    with urllib.request.urlopen(f"{moto.endpoint}/moto-api/recorder/{verb}", data=data, timeout=30) as answer:
        return str(answer.read().decode())
