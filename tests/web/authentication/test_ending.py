"""Closing a websocket from outside the application that serves it, however that behaves."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from mlrepro.web.authentication import ending

CLOSE: Message = {"type": "websocket.close", "code": 4401}


def run(app: Any, *, after: float | None = 0.05, messages: int = 0) -> list[Message]:
    """What a server is given to send, when a websocket's time is over after some seconds."""
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal messages
        if messages:
            messages -= 1
            return {"type": "websocket.receive", "text": "x"}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def over() -> Message:
        await (asyncio.sleep(after) if after is not None else asyncio.Event().wait())
        return CLOSE

    async def main() -> None:
        before = asyncio.all_tasks()
        try:
            await ending.run_until(app, {"type": "websocket"}, receive, send, over=over)
        finally:
            assert asyncio.all_tasks() == before, "no task goes on behind it"

    asyncio.run(asyncio.wait_for(main(), 20))
    return sent


def test_one_that_waits_for_messages_is_told_that_it_is_over() -> None:
    received: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            received.append(message)
        await send({"type": "websocket.send", "text": "too late"})
        assert (await receive())["type"] == "websocket.disconnect", "and again"

    assert run(app, messages=3) == [CLOSE]
    assert len(received) == 3


def test_one_that_only_sends_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_GRACE", 0.1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0.001)

    sent = run(app)
    assert (sent[0]["type"], sent[-1]) == ("websocket.send", CLOSE)


def test_one_that_ends_by_itself_is_left_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1000})

    assert run(app, messages=1, after=None) == [{"type": "websocket.close", "code": 1000}]


def test_what_it_raises_is_raised() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(app)


def test_a_server_that_stops_stops_it() -> None:
    stopped: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        finally:
            stopped.append(True)

    async def main() -> None:
        async def never(*_: object) -> Any:
            await asyncio.Event().wait()

        running = asyncio.create_task(ending.run_until(app, {}, never, never, over=never))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert stopped == [True]
