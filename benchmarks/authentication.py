"""What the gate costs each request, by the kind of credentials: processor time, so that a busy machine does not count.

Nothing is kept between two requests but the provider's keys: each token's signature is verified each time.

Usage: python benchmarks/authentication.py
"""

import asyncio
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlrepro.tenancy.token_file import create_token
from mlrepro.web.authentication import gate
from mlrepro.web.authentication.session import cookies_of
from tests.web.authentication.provider import AUDIENCE, CURVE, FIRST, running
from tests.web.authentication.site import tenants_file

ROUNDS, REQUESTS = 7, 500
SECRET = "0123456789abcdef" * 4


async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _ask(app: Any, headers: list[tuple[bytes, bytes]]) -> float:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 200))

    begun = time.process_time()
    for _ in range(REQUESTS):
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "client": None}
        await app(scope, receive, send)
    assert set(statuses) == {200}, statuses[0]
    return (time.process_time() - begun) / REQUESTS * 1e6


async def _measure(folder: Path) -> list[tuple[str, float]]:
    (folder / "secret").write_text(SECRET)
    token = create_token(folder / "tokens.json", "ana@example.com")
    with running() as provider:
        oidc = {"issuer": provider.url, "client_id": "a", "session_secret": {"file": "secret"}}
        tenants = tenants_file(
            folder,
            {
                "public_url": "https://dagster.example.com",
                "tokens": {"file": "tokens.json"},
                "proxy": {"secret": {"file": "secret"}},
                "jwt": {"issuer": provider.url, "audience": AUDIENCE, "groups_claim": "groups"},
                "oidc": oidc,
            },
        )
        app = gate(_nothing, tenants)
        settings = tenants.tenants.identity
        assert settings is not None
        assert settings.oidc is not None
        cookies = cookies_of(settings.oidc, public_url="https://dagster.example.com", folder=folder)
        held = {"user": "ana@example.com", "groups": ["delay"], "expires": time.time() + 3600}
        cookie = str(cookies._serializer("session").dumps(held))
        kinds = {
            "API token": [(b"authorization", f"Bearer {token}".encode())],
            "proxy": [(b"x-mlrepro-proxy-secret", SECRET.encode()), (b"x-forwarded-email", b"ana@example.com")],
            "JWT, RS256": [(b"authorization", f"Bearer {provider.token(key=FIRST)}".encode())],
            "JWT, ES256": [(b"authorization", f"Bearer {provider.token(key=CURVE)}".encode())],
            "session": [(b"cookie", f"{cookies.name('session')}={cookie}".encode())],
        }
        rows = [("no gate", await _rounds(_nothing, []))]
        return rows + [(kind, await _rounds(app, headers)) for kind, headers in kinds.items()]


async def _rounds(app: Any, headers: list[tuple[bytes, bytes]]) -> float:
    return statistics.median([await _ask(app, headers) for _ in range(ROUNDS)])


def main() -> None:
    """Measure, and print."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder)))
    print(tabulate(rows, headers=["credentials", "microseconds a request"], floatfmt=".0f"))


if __name__ == "__main__":
    main()
