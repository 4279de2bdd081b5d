"""Whatever users wrote is text on a page."""

from urllib.parse import urlencode

import pytest

from mlrepro.catalog.channels import ChannelName
from mlrepro.catalog.history import append_version, find_number
from mlrepro.catalog.moving import Mover, promote, roll_back
from mlrepro.catalog.pins import pin
from tests.web.pages.shop import Shop

SCRIPT = "<script>alert(document.domain)</script>"
ATTRIBUTE = '" onmouseover="alert(1)" x=\''
TEXTS = [
    SCRIPT,
    ATTRIBUTE,
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "]]>--><svg onload=alert(1)>",
    "a\u202eb\x07",
    "x" * 10_000,
]


@pytest.fixture(
    scope="module", params=range(len(TEXTS)), ids=["script", "attribute", "template", "url", "svg", "bidi", "huge"]
)
def hostile(request: pytest.FixtureRequest, shared: Shop):
    """An asset in the store whose every text is hostile."""
    text = TEXTS[request.param]
    store, key = shared.store("delay"), (text, "model")
    for number in (1, 2):
        stored = store.write_value({"n": number})
        body = {
            "data_version": stored.content_hash,
            "metrics": {text: number / 10},
            "who": text,
            "run_id": text,
            "code_location": text,
            "input_hash": "ab" * 32,
            "seconds": text,
            "code": text,
        }
        append_version(store, key, None, stored, body)
    channel = ChannelName(key, "production")
    mover = Mover(text, text, text, text)
    gates = [{"gate": text, "passed": False, "said": text}]
    for number in (1, 2):
        promote(store, channel, find_number(store, key, None, number), mover, gates=gates, metrics={text: 0.5})
    roll_back(store, channel, mover)
    pin(store, key, mover, to=1)
    return text


def pages(text: str) -> list[str]:
    name = text.replace("\\", "\\\\").replace("/", "\\/") + "/model"
    where = {"scope": "delay"}
    return [
        "/asset?" + urlencode({"key": name, **where}),
        "/version?" + urlencode({"of": f"{name}@v2", **where}),
        "/compare?" + urlencode([("of", f"{name}@v1"), ("of", f"{name}@v2"), ("scope", "delay")]),
        "/channel?" + urlencode({"key": f"{name}/production", **where}),
        "/?" + urlencode({"q": text, "tenant": text, "group": text}),
        "/plan?" + urlencode({"selection": text, "location": text}),
        "/run?" + urlencode({"id": text, "back": text}),
        "/runs?" + urlencode({"of": text}),
        "/" + urlencode({"": text})[1:],
    ]


def test_nothing_that_is_written_becomes_markup_or_a_script(shared: Shop, hostile: str) -> None:
    for path in pages(hostile):
        answer = shared.user("eve").request("GET", f"/mlrepro{path}")
        assert answer.status_code in ({200, 400, 404} if len(hostile) < 2000 else {200, 400, 404, 414})
        page = answer.text
        assert SCRIPT not in page
        assert "<svg onload" not in page
        assert ' onmouseover="' not in page
        assert "49{" not in page
        assert 'href="javascript' not in page
        assert len(page) < 400_000, f"what is huge is cut: {len(page)} in {path[:60]}"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert " style=" not in page


def test_it_is_shown_as_it_is(shared: Shop, hostile: str) -> None:
    if len(hostile) > 1000:
        pytest.skip("too long to be asked for")
    page = shared.page(pages(hostile)[0])

    name = hostile.replace("\\", "\\\\").replace("/", "\\/").replace("\x07", "")  # as Dagster writes keys
    assert name in page.find(".//h1").text_content().replace("\x07", "")
    assert hostile.replace("\x07", "") in page.text_content().replace("\x07", "")


def test_damaged_records_are_passed_over(shared: Shop) -> None:
    store = shared.store("delay")
    bodies = [
        {},
        {"output": 5},
        {"data_version": None, "output": {"content_hash": "zz"}},
        {"created": 7, "metrics": []},
    ]
    for body in bodies:
        store.append(("versions", "broken", "_"), lambda _newest, body=body: body)
        store.append(("channels", "broken", "production", "_"), lambda _newest, body=body: body)
    stored = store.write_value(1)
    append_version(store, ["broken"], None, stored, {"data_version": "x", "metrics": {"a": "b", "c": 1}, "created": 7})

    for path in ("/asset?key=broken", "/version?of=broken", "/channel?key=broken/production"):
        answer = shared.user("eve").request("GET", f"/mlrepro{path}&scope=delay")
        assert answer.status_code in {200, 404}, answer.text
