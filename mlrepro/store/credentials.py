"""Credentials of an S3 store that boto3 finds: those of a named profile, or of any place that it looks in."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from mlrepro.errors import MissingExtraError, StoreError

if TYPE_CHECKING:
    from obstore.store import S3Credential

# boto3 hands out what is good for ten more minutes at least, and obstore asks again five minutes before the end.
_GOOD_FOR: Final = timedelta(minutes=10)


class Boto3Credentials:
    """What boto3 finds, asked for when a request needs it, and again before it expires.

    Args:
        profile: Name of a profile in `~/.aws/config` or `~/.aws/credentials`; None for boto3's own order: environment,
            ``AWS_PROFILE``, the default profile, web identity, container, instance.
        url: The store, for messages.

    Attributes:
        region: That of the profile, if it names one.
        endpoint: That of the profile or of the environment, if one names it.

    Raises:
        MissingExtraError: If boto3 is not installed.
        StoreError: If there is no such profile.
    """

    def __init__(self, profile: str | None, *, url: str) -> None:
        self._named = f"the AWS profile {profile!r}" if profile else "boto3"
        try:
            import boto3
            import botocore.configprovider
            from botocore.exceptions import BotoCoreError
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{url}: {self._named}", "aws") from error
        self._url = url
        self._lock = threading.Lock()
        self._provider: Any = None
        self._errors = BotoCoreError
        try:
            self._session = boto3.Session(profile_name=profile)
            settings = self._session._session  # boto3 tells the region of a profile, but not its endpoint
            self.region: str | None = self._session.region_name
            self.endpoint: str | None = botocore.configprovider.ConfiguredEndpointProvider(
                full_config=settings.full_config, scoped_config=settings.get_scoped_config(), client_name="s3"
            ).provide()
        except BotoCoreError as error:
            raise StoreError(
                f"Could not open the store {url}: {error}. Write the profile into ~/.aws/config, or name another"
                f" (known: {', '.join(boto3.Session().available_profiles) or 'none'})"
                if profile
                else f"Could not open the store {url}: {error}"
            ) from error

    def __call__(self) -> "S3Credential":
        """Find the credentials.

        Raises:
            StoreError: If there are none, or they can't be renewed. obstore passes its text on.
        """
        from obstore.auth.boto3 import Boto3CredentialProvider

        with self._lock:
            try:
                if self._provider is None:
                    if self._session.get_credentials() is None:
                        raise StoreError(
                            f"{self._named} has no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log"
                            " in: aws sso login"
                        )
                    self._provider = Boto3CredentialProvider(self._session, ttl=_GOOD_FOR)
                found: S3Credential = self._provider()
            except self._errors as error:
                raise StoreError(f"{self._named} gives no credentials: {error}. Renew them: aws sso login") from error
            return found


@dataclass(frozen=True)
class GivenKeys:
    """Keys that were given beside a session token in the environment, which belongs to others."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str | None = None
    endpoint: str | None = None

    def __call__(self) -> "S3Credential":
        """The keys, without a token."""
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": None,
            "expires_at": None,
        }


def take_credentials(
    settings: dict[str, str], environment: Mapping[str, str], url: str
) -> Boto3Credentials | GivenKeys | None:
    """Take the options ``profile`` and ``credentials`` out of an S3 store's; say who gives obstore its credentials.

    boto3 is asked where ``profile`` names a profile, where ``credentials`` is ``"boto3"``, and where neither an option
    nor the environment has a key but ``AWS_PROFILE`` is set. Otherwise obstore finds them by itself: options, then
    ``AWS_ACCESS_KEY_ID``, web identity (``AWS_ROLE_ARN``), container, instance. Keys among the options come first.

    Args:
        settings: The store's options. What is taken is removed.
        environment: ``os.environ``.
        url: The store, for messages.

    Raises:
        MissingExtraError: If boto3 is needed and not installed.
        StoreError: If there is no such profile, or ``credentials`` is anything else.

    Example:
        >>> settings = {"region": "eu-west-1"}
        >>> take_credentials(settings, {}, "s3://bucket") is None
        True
    """
    profile, kind = settings.pop("profile", None), settings.pop("credentials", None)
    if kind not in {None, "boto3"}:
        raise StoreError(f"The option credentials={kind!r} for the store {url} must be 'boto3'")
    key, secret = settings.get("access_key_id"), settings.get("secret_access_key")
    if key or settings.get("skip_signature"):
        # obstore would send the environment's token with the option's key, which no server accepts
        mixed = "session_token" not in settings and environment.get("AWS_SESSION_TOKEN")
        return GivenKeys(key, secret) if key and secret and mixed else None
    if profile or kind or (environment.get("AWS_PROFILE") and not environment.get("AWS_ACCESS_KEY_ID")):
        return Boto3Credentials(profile, url=url)
    return None
