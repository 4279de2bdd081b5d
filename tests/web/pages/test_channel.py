"""A channel's page, and the forms that move it."""

from typing import Any

import pytest
from dagster import DagsterRunStatus, RunsFilter
from starlette.testclient import TestClient

from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.identity_settings import NoneSettings
from mlrepro.web.assembly import Settings, application
from mlrepro.web.authentication.gate import Gate
from mlrepro.web.authentication.loopback import LocalAuthenticator
from tests.web.pages.shop import Shop

CHANNEL = "delay_model/production"
FORM = "application/x-www-form-urlencoded"


def token(shop: Shop, user: str = "eve", tenant: str | None = None, key: str = CHANNEL) -> str:
    page = shop.page(f"/channel?key={key}", user, tenant)
    return page.find(".//input[@name='token']").get("value")


def send(shop: Shop, path: str, user: str = "eve", tenant: str | None = None, **fields: Any):
    return shop.user(user, tenant).request("POST", f"/mlrepro{path}", data=fields)


def launched(shop: Shop, job: str) -> list[Any]:
    with shop.instance() as instance:
        return instance.get_runs(RunsFilter(job_name=job, statuses=[DagsterRunStatus.QUEUED]))


def test_what_it_serves_its_history_and_its_quarantine_are_shown(shared: Shop) -> None:
    answer = shared.json(f"/channel?key={CHANNEL}")

    assert answer["served"]["number"] == 1
    assert answer["by"] == "ana"
    assert [(entry["kind"], entry["before"], entry["after"]) for entry in answer["history"]] == [
        ("gate", None, 3),
        ("rollback", 2, 1),
        ("promotion", 1, 2),
        ("promotion", None, 1),
    ]
    assert answer["history"][1]["reason"] == "too <b>steep</b>"
    assert [(each["version"], each["who"]) for each in answer["quarantine"]] == [(2, "ana")]
    assert [(gate["gate"], gate["passed"]) for gate in answer["gates"]] == [("delay_evaluation.error < 0.95", False)]
    assert answer["candidates"] == [3]


@pytest.mark.parametrize(
    ("user", "may"), [("vera", False), ("bob", False), ("lars", True), ("eve", True), ("root", True)]
)
def test_buttons_are_there_for_who_may_launch(shared: Shop, user: str, may: bool) -> None:
    answer = shared.json(f"/channel?key={CHANNEL}", user)
    page = shared.page(f"/channel?key={CHANNEL}", user)

    assert answer["rights"]["may"] is may
    assert bool(page.findall(".//form")) is may
    assert may or "takes the role launcher in team delay" in page.text_content()


def test_a_button_launches_the_job_as_the_user_and_leads_to_the_run(shared: Shop) -> None:
    fields = {"key": CHANNEL, "scope": "delay", "version": "3", "reason": "a\x00 b <i>", "cascade": "yes"}
    fields["token"] = token(shared)
    answer = send(shared, "/channel/promote", **fields)

    (run,) = launched(shared, "promote")
    assert answer.status_code == 303
    assert answer.headers["location"] == (f"/mlrepro/run?id={run.run_id}&back=delay_model%2Fproduction&scope=delay")
    assert run.tags["dagster/user"] == "eve"
    assert run.run_config["ops"]["promote"]["config"] == {
        "channel": CHANNEL,
        "version": "v3",
        "reason": "a  b <i>",
        "partition": "",
        "cascade": True,
    }
    entries = [entry for entry in shared.audited() if entry.get("what") == "launchRun"]
    assert (entries[-1]["user"], entries[-1]["allowed"], entries[-1]["target"]["job"]) == ("eve", True, "promote")
    followed = shared.json(f"/run?id={run.run_id}")["run"]
    assert (followed["status"], followed["finished"], followed["user"]) == ("QUEUED", False, "eve")


@pytest.mark.parametrize("user", ["vera", "bob"])
def test_who_may_not_is_refused_politely_even_with_a_form_of_their_own(shared: Shop, user: str) -> None:
    # a page without forms has no token: one of another page of theirs is as good
    plan = shared.page("/plan?selection=delay_board", user)
    made = plan.findall(".//input[@name='token']")
    assert not made
    before = len(launched(shared, "release"))

    answer = send(shared, "/channel/release", user, token=token(shared), key=CHANNEL, version="2")
    assert answer.status_code == 400
    assert "made for somebody else" in answer.text
    assert len(launched(shared, "release")) == before


def test_dagsters_own_guard_refuses_who_has_a_token_and_no_role(shared: Shop) -> None:
    tenants = shared.tenants_file.read_text()
    mine = token(shared, "lars")
    shared.tenants_file.write_text(tenants.replace("user: lars, role: launcher", "user: lars, role: viewer"))
    try:
        answer = send(shared, "/channel/release", "lars", token=mine, key=CHANNEL, version="2")
    finally:
        shared.tenants_file.write_text(tenants)

    assert answer.status_code == 403
    assert "takes the role launcher in tenant delay" in answer.text
    assert not launched(shared, "release")


ROUTES = [
    "/channel/promote",
    "/channel/rollback",
    "/channel/release",
    "/asset/release",
    "/plan/materialize",
    "/plan",
]


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_is_changed_by_get(shared: Shop, path: str) -> None:
    fields = f"token={token(shared)}&key={CHANNEL}&to=1&version=2&selection=delay_board"
    before = len(launched(shared, "rollback"))
    answer = shared.user("eve").request("GET", f"/mlrepro{path}?{fields}")

    # the plan is shown by GET, from records alone
    assert answer.status_code == (200 if path == "/plan" else 404)
    assert "What a run would find" not in answer.text
    assert len(launched(shared, "rollback")) == before


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("bad", [None, "", "x", "WyJldmUiLG51bGxd.aaaa.bbbb"])
def test_nothing_is_changed_without_a_token(shared: Shop, path: str, bad: str | None) -> None:
    fields = {"key": CHANNEL, "to": "1", "version": "2", "selection": "delay_board"}
    answer = send(shared, path, **fields, **({"token": bad} if bad is not None else {}))

    assert answer.status_code == 400
    assert "token" in answer.text or "too old" in answer.text


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"\xff=1", FORM),
        (b"key=" + b"x" * 70_000, FORM),
        (b"&".join(b"a%d=1" % each for each in range(200)), FORM),
        (b'{"key": "x"}', "application/json"),
        (b"", FORM),
    ],
)
def test_what_is_no_form_is_refused(shared: Shop, body: bytes, media_type: str) -> None:
    answer = shared.user("eve").request(
        "POST", "/mlrepro/channel/promote", content=body, headers={"content-type": media_type}
    )
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {"key": CHANNEL},
        {"key": CHANNEL, "version": "x"},
        {"key": CHANNEL, "version": "-1"},
        {"key": "delay_model", "version": "1"},
        {"key": "aircraft_model/production", "scope": "delay", "version": "1"},
        {"version": "1"},
    ],
)
def test_a_form_that_lacks_something_does_nothing(shared: Shop, fields: dict[str, str]) -> None:
    before = len(launched(shared, "promote"))
    answer = send(shared, "/channel/promote", token=token(shared), **fields)

    assert answer.status_code in {400, 404}
    assert len(launched(shared, "promote")) == before


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {},
        {"origin": "null"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
    ],
)
def test_nothing_is_changed_from_another_site(gated: TestClient, path: str, headers: dict[str, str]) -> None:
    page = gated.get(f"/mlrepro/channel?key={CHANNEL}").text
    made = page.split('name="token" value="')[1].split('"')[0]
    data = {"token": made, "key": CHANNEL, "version": "3"}

    assert gated.post(f"/mlrepro{path}", data=data, headers=headers).status_code == 403
    own = gated.post("/mlrepro/channel/promote", data={**data, "version": "x"}, headers={"origin": "http://localhost"})
    assert own.status_code == 400, "of this site it gets as far as the form itself"


@pytest.fixture(scope="module")
def gated(shared: Shop):
    """The same installation behind the real gate, for one user on this machine."""
    settings = Settings(tenants=TenantsFile(shared.tenants_file), home=shared.folder)
    with application(settings) as (app, _):
        everybody = LocalAuthenticator(NoneSettings(user="eve"))
        gate = Gate(app, tenants=settings.tenants, authenticators=[everybody])
        yield TestClient(gate, base_url="http://localhost", client=("127.0.0.1", 1), follow_redirects=False)
