"""What is wrong, told to a person or a program in a line."""

from typing import Any

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
from mlrepro.web.pages.asked import HERE, Asked
from mlrepro.web.pages.rendering import as_json, html

_TOLD = (
    ((NotHereError, UnknownVersionError, ChannelError), 404, "Not here"),
    (NotAllowedError, 403, "Not allowed"),
    ((FormError, VersionNameError, AssetDefinitionError, ValidationError), 400, "Not done"),
    (StoreError, 503, "The store can't be read"),
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
    if program:
        return as_json({"error": text}, status)
    return html("problem.html", {**shell(asked), "title": title, "text": text}, status)


def shell(asked: Asked) -> dict[str, Any]:
    """What every template needs."""
    return {"asked": asked, "here": f"{asked.prefix}{HERE}", "user": asked.user}
