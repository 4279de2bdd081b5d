"""Headers of a proxy: believed with the secret, refused without."""

import asyncio
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlrepro.errors import TenantsError
from tests.web.authentication.site import client, status_of, tenants_file

SECRET = "a secret of the proxy's"
PROVEN = ("X-Mlrepro-Proxy-Secret", SECRET)
ANA = ("X-Forwarded-Email", "ana@example.com")
IDENTITY = {"proxy": {"secret": {"env": "PROXY_SECRET"}}}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("PROXY_SECRET", SECRET)
    return client(tenants_file(tmp_path, IDENTITY))


def test_with_the_secret_the_proxy_is_believed(site: TestClient) -> None:
    found = site.get("/", headers=[PROVEN, ANA, ("X-Forwarded-Groups", "delay, aircraft,,")]).json()
    assert (found["user"], found["groups"], found["expires"]) == ("ana@example.com", ["aircraft", "delay"], None)


def test_names_in_utf_8(site: TestClient) -> None:
    headers = [PROVEN, ANA, (b"X-Forwarded-Groups", "délai".encode())]
    assert site.get("/", headers=headers).json()["groups"] == ["délai"]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([], "no credentials"),
        ([PROVEN], "no credentials"),
        ([ANA], "without the proxy's"),
        ([("X-Forwarded-Groups", "delay")], "without the proxy's"),
        ([("X-Mlrepro-Proxy-Secret", ""), ANA], "another secret"),
        ([("X-Mlrepro-Proxy-Secret", SECRET[:-1]), ANA], "another secret"),
        ([("X-Mlrepro-Proxy-Secret", SECRET + "x"), ANA], "another secret"),
        ([("X-Mlrepro-Proxy-Secret", SECRET.upper()), ANA], "another secret"),
        ([(b"X-Mlrepro-Proxy-Secret", "é".encode() * 20), ANA], "another secret"),
        ([PROVEN, PROVEN, ANA], "sent 2 times"),
        ([("X-Mlrepro-Proxy-Secret", "wrong"), PROVEN, ANA], "sent 2 times"),
        ([PROVEN, ANA, ("X-Forwarded-Email", "root@example.com")], "sent 2 times"),
        ([PROVEN, ANA, ("x-forwarded-email", "ana@example.com")], "sent 2 times"),
        ([PROVEN, ("X_Forwarded_Email", "ana@example.com")], "only by _ and -"),
        ([PROVEN, ANA, ("X_Forwarded_Email", "root@example.com")], "only by _ and -"),
        ([PROVEN, ANA, ("X-Forwarded_Email", "root@example.com")], "only by _ and -"),
        ([("X_Mlrepro_Proxy_Secret", SECRET), ANA], "only by _ and -"),
        ([PROVEN, ANA, ("X_Forwarded_Groups", "delay")], "only by _ and -"),
        ([PROVEN, ANA, ("X-Forwarded-Groups", "a"), ("X-Forwarded-Groups", "b")], "sent 2 times"),
        ([PROVEN, ("X-Forwarded-Email", "")], "is empty"),
        ([PROVEN, ("X-Forwarded-Email", "a" * 321)], "longer than 320"),
        ([PROVEN, ("X-Forwarded-Email", "ana\u200b@example.com".encode())], "can't be printed"),
        ([("X-Forwarded-User", "ana@example.com"), PROVEN], "no credentials"),
        ([("Cookie", "X-Forwarded-Email=ana@example.com")], "no credentials"),
    ],
)
def test_anything_else_is_refused(
    site: TestClient, headers: list[tuple[str, str]], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.get("/", headers=headers)
    assert answer.status_code == 401
    assert says in answer.text
    assert SECRET not in f"{caplog.text}{answer.text}"


def test_bytes_that_are_no_text(site: TestClient) -> None:
    sent = [(b"x-mlrepro-proxy-secret", SECRET.encode()), (b"x-forwarded-email", b"ana\xff")]
    assert asyncio.run(status_of(site.app, sent)) == 401
    assert asyncio.run(status_of(site.app, [sent[0], (b"x-forwarded-email", b"ana@example.com")])) == 200


def test_a_secret_that_is_too_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_SECRET", "fifteen letters")
    with pytest.raises(TenantsError, match=r"proxy\.secret: the environment variable PROXY_SECRET holds 15 characters"):
        client(tenants_file(tmp_path, IDENTITY))


def test_a_secret_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROXY_SECRET", raising=False)
    with pytest.raises(TenantsError, match="PROXY_SECRET is not set or empty"):
        client(tenants_file(tmp_path, IDENTITY))


def test_a_secret_in_a_file_beside_tenants_yaml(tmp_path: Path) -> None:
    identity = {"proxy": {"secret": {"file": "secret.txt"}, "user_header": "X-User", "groups_header": None}}
    file = tenants_file(tmp_path, identity)
    with pytest.raises(TenantsError, match=r"the file secret\.txt can't be read: No such file"):
        client(file)
    (tmp_path / "secret.txt").write_text(f"{SECRET}\n")
    site = client(file)
    headers = [PROVEN, ("X-User", "ana@example.com"), ("X-Forwarded-Groups", "x")]
    assert site.get("/", headers=headers).json()["groups"] == []
