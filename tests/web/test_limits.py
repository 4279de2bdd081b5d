"""One request that asks for far too much: it is refused at once, and the others go on."""

import asyncio
import time

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from mlrepro.web import limits
from mlrepro.web.limits import LARGEST_BODY, MOST_MUTATIONS, BodyLimit, TooMuchError, read_document
from tests.web.installation import Installation


def doubling(levels: int) -> str:
    """A short query that asks for two to the power of so many fields."""
    fragments = "".join(
        f"fragment A{n} on Repository {{x: location {{...B{n}}} y: location {{...B{n}}}}}"
        f" fragment B{n} on RepositoryLocation {{repositories {{...A{n + 1}}}}} "
        for n in range(levels)
    )
    last = f"fragment A{levels} on Repository {{name}}"
    return f"{{repositoriesOrError {{... on RepositoryConnection {{nodes {{...A0}}}}}}}} {fragments} {last}"


def nested(levels: int) -> str:
    """A query whose answer has all repositories, and with each again all of them, so often."""
    opened = "nodes {name location {repositories {name " + "location {repositories {name " * levels
    closed = "}}" * levels + "}}}"
    return f"{{repositoriesOrError {{... on RepositoryConnection {{{opened}{closed}}}}}}}"


TOO_MUCH = {
    "more words than anybody writes": "{" + "version " * 200_000 + "}",
    "many words in few characters": "{" + "a " * 20_000 + "}",
    "fragments that name each other twice": doubling(40),
    "a text without end": '{version(a: "' + "a" * 2_000_000 + '")}',
    "nested without end": "{a" * 2000 + "}" * 2000,
}


@pytest.mark.parametrize("query", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_query_that_asks_for_too_much_is_refused_at_once(shared: Installation, query: str) -> None:
    vera = shared.user("vera")
    began = time.monotonic()
    by_post = vera.post(query)
    by_websocket = vera.over_websocket(query)
    assert by_post.status_code == 400
    assert by_post.json()["errors"][0]["message"]
    assert by_websocket["type"] == "error"
    assert by_websocket["payload"]["message"]
    assert time.monotonic() - began < 10
    assert vera.post("{version}").json()["data"]["version"]


def test_fragments_may_name_themselves_and_nothing_hangs() -> None:
    read_document("{...A} fragment A on Query {version ...A}")


def test_many_fragments_that_are_named_once_are_fine(shared: Installation) -> None:
    answer = shared.user("vera").post(doubling(3)).json()
    assert "errors" not in answer


def test_an_answer_that_grows_without_end_is_broken_off(shared: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_RESOLVED", 200)
    vera = shared.user("vera")
    assert "errors" not in vera.post(nested(levels=5)).json()
    answer = vera.post(nested(levels=80))
    assert answer.status_code == 400
    assert answer.json() == {
        "data": None,
        "errors": [{"message": "an answer may have 200 fields: ask for less at once"}],
    }
    assert vera.post("{version}").json()["data"]["version"]


def test_one_request_does_not_fill_the_audit_log(shared: Installation) -> None:
    many = " ".join(f"m{n}: setNuxSeen" for n in range(MOST_MUTATIONS + 1))
    before = len(shared.audited())
    for query in (f"mutation {{{many}}}", f"mutation {{...A}} fragment A on Mutation {{{many}}}"):
        answer = shared.user("vera").post(query)
        assert answer.status_code == 400
        assert "mutations" in answer.json()["errors"][0]["message"]
    entries = shared.audited()[before:]
    assert [(each["user"], each["allowed"]) for each in entries] == [("vera", False)] * 2
    with pytest.raises(TooMuchError, match="mutations"):
        read_document(f"mutation {{{many}}}")


def test_a_body_without_end_is_not_kept_in_memory(shared: Installation) -> None:
    content = b" " * (LARGEST_BODY + 1)
    headers = {"content-type": "application/json"}
    answer = shared.user("vera").request("POST", "/graphql", content=content, headers=headers)
    assert answer.status_code == 413


def test_no_more_of_a_body_is_taken_than_is_allowed() -> None:
    taken = 0

    async def endless() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"12345", "more_body": taken < 1000}

    async def reads_all(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["more_body"]:
            pass

    async def send(_: Message) -> None:
        raise AssertionError("nothing is answered here")

    with pytest.raises(HTTPException) as raised:
        asyncio.run(BodyLimit(reads_all, most=12)({"type": "http"}, endless, send))
    assert (raised.value.status_code, taken) == (413, 3)
