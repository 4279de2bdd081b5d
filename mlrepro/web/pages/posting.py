"""Forms that were posted: read within bounds, refused without a token."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from mlrepro.errors import FormError

_LONGEST: Final = 64 * 1024
_MOST_FIELDS: Final = 100


async def read_form(request: Request) -> list[tuple[str, str]]:
    """Read what an HTML form sent; fields that are empty are left out.

    Raises:
        FormError: It is no form, or too long.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise FormError("this takes what an HTML form sends")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST:
            raise FormError("the form is too long")
    try:
        fields = parse_qsl(body.decode("utf-8", "strict"), max_num_fields=_MOST_FIELDS, strict_parsing=bool(body))
    except ValueError as error:
        raise FormError("the form can't be read") from error
    return [(name, value) for name, value in fields if value]
