"""A websocket lives no longer than what its user was let in by."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GRACE: Final = 5.0


async def run_until(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, over: Callable[[], Awaitable[Message]]
) -> None:
    """Run an application on a websocket, and close that when its time is over.

    Args:
        app: The application.
        scope: Of the websocket.
        receive: Its messages.
        send: Takes messages for it.
        over: Waits until the time is over; how to close the websocket then.
    """
    closed = asyncio.Event()
    sending = asyncio.Lock()

    async def send_if_open(message: Message) -> None:
        async with sending:
            if not closed.is_set():
                await send(message)

    async def receive_if_open() -> Message:
        return await _first(receive, closed) or {"type": "websocket.disconnect", "code": 1006}

    async def close() -> None:
        message = await over()
        async with sending:
            closed.set()
            await send(message)

    running = asyncio.ensure_future(app(scope, receive_if_open, send_if_open))
    closing = asyncio.ensure_future(close())
    try:
        await asyncio.wait({running, closing}, return_when=asyncio.FIRST_COMPLETED)
        if closing.done() and not running.done():
            await asyncio.wait({running}, timeout=_GRACE)
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                return
        await running
    finally:
        running.cancel()
        closing.cancel()
        await asyncio.gather(running, closing, return_exceptions=True)


async def _first(receive: Receive, closed: asyncio.Event) -> Message | None:
    """The next message, None where the websocket was closed before it came."""
    if closed.is_set():
        return None
    message = asyncio.ensure_future(receive())
    end = asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
        return message.result() if message.done() else None
    finally:
        message.cancel()
        end.cancel()
