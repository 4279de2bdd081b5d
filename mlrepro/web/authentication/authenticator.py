"""What vouches for a user, and where the gate leaves what it found."""

from typing import Final, Protocol

from starlette.requests import HTTPConnection

from mlrepro.tenancy.identity import Identity

IDENTITY_KEY: Final = "mlrepro.identity"
"""Key of the ASGI scope with the verified `Identity`."""

READ_ONLY_KEY: Final = "mlrepro.read_only"
"""Key of the ASGI scope: True where no mutation may be made, as a link on any page could have sent the request."""

EXPIRES_KEY: Final = "mlrepro.expires"
"""Key of the ASGI scope: when the identity ends, in seconds since 1970; missing where no end was named."""


class Authenticator(Protocol):
    """One way to know who asks."""

    @property
    def ambient(self) -> bool:
        """Whether a browser, or a proxy behind it, adds the credentials to what other sites make it send."""
        ...

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whose request this is.

        Args:
            connection: The request, or the websocket's handshake.

        Returns:
            None where no credentials of this kind were given.

        Raises:
            NotAuthenticatedError: Such were given, and they are bad.
            IdentityUnavailableError: They can't be checked now.
        """
        ...
