"""`Cache`: what an asset's author says about the caching of its results."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from mlrepro.errors import AssetDefinitionError, StoreError
from mlrepro.store.keys import check_scope

_KINDS = {
    "enabled": bool,
    "salt": str,
    "scope": str | None,
    "max_age": dt.timedelta | None,
    "serialize": bool,
}


@dataclass(frozen=True, kw_only=True)
class Cache:
    """How results of an asset are cached.

    Args:
        enabled: Whether results are looked up and kept. Versions are kept in any case.
        scope: Where results are published: None for the store's own scope, or ``"shared"`` for everybody.
        ignore_config: Config fields that do not change the result, such as ``n_jobs``; a field of a nested
            config is written with dots (``"trainer.n_jobs"``).
        ignore_resources: Resources that do not change the result, such as a notifier, by key.
        max_age: A result older than this is computed again.
        salt: Text that goes into the key: change it to give up all earlier results.
        serialize: Whether a step waits while another run, anybody's, computes the same result, and takes that.

    Raises:
        AssetDefinitionError: If a field is not what it should be.

    Example:
        >>> Cache(scope="shared", ignore_config=("n_jobs",)).scope
        'shared'
    """

    enabled: bool = True
    scope: str | None = None
    ignore_config: tuple[str, ...] = ()
    ignore_resources: tuple[str, ...] = ()
    max_age: dt.timedelta | None = None
    salt: str = ""
    serialize: bool = False

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise AssetDefinitionError(f"Cache({name}=...) does not take {getattr(self, name)!r}")
        for name in ("ignore_config", "ignore_resources"):
            given = getattr(self, name)
            # ignore_config="n_jobs" would silently mean the six fields n, _, j, o, b and s
            if (
                not isinstance(given, Collection)
                or isinstance(given, str)
                or not all(isinstance(item, str) for item in given)
            ):
                raise AssetDefinitionError(f"Cache({name}=...) takes a tuple of names, not {given!r}")
            object.__setattr__(self, name, tuple(given))
        if self.scope is not None:
            try:
                check_scope(self.scope)
            except StoreError as error:
                raise AssetDefinitionError(f"Cache(scope=...): {error}") from error
        if self.max_age is not None and self.max_age <= dt.timedelta(0):
            raise AssetDefinitionError(f"Cache(max_age=...) is a positive time span, not {self.max_age!r}")
