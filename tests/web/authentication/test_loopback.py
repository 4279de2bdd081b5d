"""`identity.none`: on this machine nobody is asked, and nowhere else."""

import socket
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlrepro.errors import TenantsError
from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.identity_settings import IdentitySettings, NoneSettings, TokensSettings
from mlrepro.web.authentication import check_address, gate
from tests.web.authentication.site import application, tenants_file

LOCAL = IdentitySettings(none=NoneSettings(user="ana"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "localhost", "127.1"])
def test_addresses_of_this_machine_only(host: str) -> None:
    check_address(host, LOCAL)


@pytest.mark.parametrize(
    "host", [None, "", "0.0.0.0", "0", "::", "::ffff:0.0.0.0", "192.168.1.5", "10.0.0.1", "8.8.8.8", "2001:db8::1"]
)
def test_any_other_address_is_refused(host: str | None) -> None:
    with pytest.raises(TenantsError, match=r"lets everybody in as ana, so it is refused on .*listen on 127\.0\.0\.1"):
        check_address(host, LOCAL)


@pytest.mark.parametrize(
    "found", [["10.0.0.7"], ["127.0.0.1", "10.0.0.7"], ["10.0.0.7", "127.0.0.1"], ["::1", "fe80::1%eth0"]]
)
@pytest.mark.parametrize("host", ["localhost", "workstation.example.com"])
def test_a_name_that_leads_elsewhere_is_refused(host: str, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(TenantsError, match=f"refused on '{host}', which is"):
        check_address(host, LOCAL)


def test_a_name_that_leads_nowhere() -> None:
    with pytest.raises(TenantsError, match=r"'nowhere\.invalid' is no address of this machine"):
        check_address("nowhere.invalid", LOCAL)


def test_who_is_asked_for_a_token_may_come_from_anywhere() -> None:
    check_address("0.0.0.0", IdentitySettings(tokens=TokensSettings(file="tokens.json")))


@pytest.fixture
def tenants(tmp_path: Path) -> TenantsFile:
    return tenants_file(tmp_path, {"none": {"user": "ana"}}, members="")


def site(tenants: TenantsFile, base: str = "http://localhost:3000", address: str = "127.0.0.1") -> TestClient:
    return TestClient(gate(application(), tenants), base_url=base, client=(address, 50000), follow_redirects=False)


def test_everybody_is_the_one_user_with_all_rights(tenants: TenantsFile) -> None:
    assert site(tenants).get("/").json()["user"] == "ana"
    assert tenants.tenants.is_admin("ana")
    assert not tenants.tenants.is_admin("bob")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:3000", "LOCALHOST:3000", "127.0.0.1:3000", "127.0.0.2", "[::1]:3000", "[::1]"]
)
def test_names_of_this_machine(tenants: TenantsFile, host: str) -> None:
    assert site(tenants).get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "127.0.0.1.evil.example",
        "localhost.evil.example:3000",
        "evil.example:127.0.0.1",
        "localhost@evil.example",
        "[::1].evil.example",
        "[evil.example]",
        "192.168.1.5:3000",
        "0.0.0.0:3000",
        "",
    ],
)
def test_a_page_whose_name_was_made_to_lead_here_is_refused(tenants: TenantsFile, host: str) -> None:
    asked = site(tenants)
    assert asked.get("/", headers={"Host": host}).status_code == 401
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    assert asked.post("/graphql", headers=sent).status_code == 401


def test_other_pages_in_the_browser_of_this_machine_change_nothing(tenants: TenantsFile) -> None:
    sent = {"Content-Type": "application/json"}
    for origin, status in (
        ("http://localhost:3000", 200),
        ("http://localhost:8080", 403),
        ("http://evil.example", 403),
    ):
        assert site(tenants).post("/graphql", headers={**sent, "Origin": origin}).status_code == status


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_what_a_proxy_of_this_machine_passes_on_is_refused(tenants: TenantsFile, name: str) -> None:
    assert site(tenants).get("/", headers={name: "127.0.0.1"}).status_code == 401


@pytest.mark.parametrize("address", ["10.0.0.9", "::ffff:10.0.0.9", "fe80::1", "unknown"])
def test_nobody_comes_in_through_a_proxy_of_this_machine(tenants: TenantsFile, address: str) -> None:
    assert site(tenants, address=address).get("/").status_code == 401
