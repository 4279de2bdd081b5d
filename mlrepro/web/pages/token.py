"""Tokens in forms: what changes something is sent by a page that this server showed to this very user."""

import os
import secrets
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

from mlrepro.errors import FormError, WebserverError

FIELD: Final = "token"
"""Name of the form field."""

VARIABLE: Final = "MLREPRO_PAGES_SECRET"
"""Environment variable with a secret that several webservers of one site have in common."""

_HOURS: Final = 12
_SHORTEST: Final = 32


class Tokens:
    """Signs and checks tokens.

    Args:
        secret: What they are signed with. Default: ``MLREPRO_PAGES_SECRET``, then one that ends with this process.

    Raises:
        WebserverError: The secret is too short to keep anybody from guessing it.

    Example:
        >>> tokens = Tokens("a secret of thirty-two characters")
        >>> tokens.check(tokens.make("ana", "delay"), "ana", "delay")
    """

    def __init__(self, secret: str | None = None) -> None:
        signed_with = secret or os.environ.get(VARIABLE) or secrets.token_hex(_SHORTEST)
        if len(signed_with) < _SHORTEST:
            raise WebserverError(
                f"{VARIABLE} has {len(signed_with)} characters, at least {_SHORTEST} are needed: make one by"
                " `openssl rand -hex 32`"
            )
        self._serializer = URLSafeTimedSerializer(signed_with, salt="mlrepro.web.pages")

    def make(self, user: str, tenant: str | None) -> str:
        """A token for a user's forms, in one Dagster."""
        return self._serializer.dumps([user, tenant])

    def check(self, token: str | None, user: str, tenant: str | None) -> None:
        """See whether a token was made for this user here, and not long ago.

        Raises:
            FormError: It was not.
        """
        try:
            made_for = self._serializer.loads(token or "", max_age=_HOURS * 3600)
        except BadSignature as error:  # too old as well
            told = "the form is too old: go back, load the page again, and send it once more"
            raise FormError(told if token else "the form has no token, so no page of this site sent it") from error
        if made_for != [user, tenant]:
            raise FormError("the form was made for somebody else: load the page again")
