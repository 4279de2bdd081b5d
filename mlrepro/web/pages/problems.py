"""What is wrong, told to a person or a program in a line."""

from typing import Any, Final

from pydantic import ValidationError
from starlette.responses import Response

from mlrepro.errors import (
    AssetDefinitionError,
    ChannelError,
    FormError,
    NotAllowedError,
    NotHereError,
    StoreError,
    UnknownVersionError,
    VersionNameError,
)
from mlrepro.store.outage import ASKED_AGAIN_AFTER
from mlrepro.web.pages.asked import HERE, Asked
from mlrepro.web.pages.rendering import as_json, html

_STORE_AWAY: Final = 503
_TOLD = (
    ((NotHereError, UnknownVersionError, ChannelError), 404, "Not here"),
    (NotAllowedError, 403, "Not allowed"),
    ((FormError, VersionNameError, AssetDefinitionError, ValidationError), 400, "Not done"),
    (StoreError, _STORE_AWAY, "The store can't be read"),
)


def problem(asked: Asked, error: Exception, *, program: bool = False) -> Response:
    """Say what is wrong."""
    status, title = next(
        ((each, told) for kinds, each, told in _TOLD if isinstance(error, kinds)), (500, "Not possible")
    )
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    told: dict[str, str] = {"error": text}
    if status == _STORE_AWAY:
        told["store"] = asked.sight.stores.url
    response = (
        as_json(told, status)
        if program
        else html("problem.html", {**shell(asked), "title": title, "text": text, "store": told.get("store")}, status)
    )
    if status == _STORE_AWAY:
        response.headers["Retry-After"] = f"{ASKED_AGAIN_AFTER:.0f}"  # before that a bucket is not asked again
    return response


def shell(asked: Asked) -> dict[str, Any]:
    """What every template needs."""
    return {"asked": asked, "here": f"{asked.prefix}{HERE}", "user": asked.user}
