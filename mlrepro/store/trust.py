"""Trust: whose result records count, and whose pickles are loaded.

A pickle runs code when it is loaded. Those of the own scope were made by the own team; those of another scope are
loaded only where somebody who is trusted vouches for them: because all who may write to that scope are trusted, or
because the record is signed with a key that is.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.store import signing
from mlrepro.store.keys import check_scope

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Trust:
    """Whom a store trusts.

    Attributes:
        scopes: Scopes other than the own whose pickles are loaded, whoever made them.
        keys: Public keys by scope: pickles of that scope are loaded if their record is signed with one of them.
        require_signatures: Whether a result record counts only if it is signed with one of its scope's keys (in the
            own scope also with the own key). Every other one is a miss, with a warning.
        home: The scope whose pickles are loaded without more; by default the store's own.
        signing_key: Signs all result records that are written: a file with an Ed25519 key in PEM, or the PEM text.

    Raises:
        StoreError: A scope or a key is none, or signatures are required without any key to check them with.

    Example:
        >>> Trust(scopes=("shared",)).scopes
        ('shared',)
    """

    scopes: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    require_signatures: bool = False
    home: str | None = None
    signing_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.scopes, str) or any(isinstance(keys, str) for keys in self.keys.values()):
            raise StoreError("trusted scopes, and the trusted keys of each scope, are given as lists")
        for scope in (*self.scopes, *self.keys):
            check_scope(scope)
        for keys in self.keys.values():
            for key in keys:
                signing.check_public_key(key)
        if self.require_signatures and not (self.keys or self.signing_key):
            raise StoreError(
                "signatures are required, but there is no key to check them with: give trusted keys by scope, or a"
                " signing key of your own"
            )

    @classmethod
    def from_environment(
        cls, given: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ
    ) -> "Trust":
        """What ``MLREPRO_TRUSTED_SCOPES``, ``_TRUSTED_KEYS``, ``_REQUIRE_SIGNATURES`` and ``_SIGNING_KEY`` say.

        Scopes are separated by commas, keys as well: ``shared=ed25519:…,team-b=ed25519:…``.

        Args:
            given: Attributes that the environment is not asked for.
            environment: The environment.

        Raises:
            StoreError: One of them cannot be read.

        Example:
            >>> Trust.from_environment(environment={"MLREPRO_TRUSTED_SCOPES": "shared, team-b"}).scopes
            ('shared', 'team-b')
        """
        keys: dict[str, list[str]] = {}
        for item in _items(environment, "MLREPRO_TRUSTED_KEYS"):
            scope, equals, key = item.partition("=")
            if not equals:
                raise StoreError(f"MLREPRO_TRUSTED_KEYS has {item!r}: expected scope=ed25519:…, separated by commas")
            keys.setdefault(scope.strip(), []).append(key.strip())
        required = environment.get("MLREPRO_REQUIRE_SIGNATURES", "").lower()
        if required not in _ON | _OFF:
            raise StoreError(f"MLREPRO_REQUIRE_SIGNATURES={required!r} must be true or false")
        said = {
            "scopes": tuple(_items(environment, "MLREPRO_TRUSTED_SCOPES")),
            "keys": keys,
            "require_signatures": required in _ON,
            "signing_key": environment.get("MLREPRO_SIGNING_KEY") or None,
        }
        return cls(**{**said, **(given or {})})

    def sign(self, input_hash: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record as it is to be stored: signed, where there is a key."""
        return signing.sign(self.signing_key, input_hash, record) if self.signing_key else record

    def refusal(self, scope: str, input_hash: str, record: Mapping[str, Any]) -> str | None:
        """Why a record does not count at all; None if it does.

        Args:
            scope: The scope that the record lies in.
            input_hash: What it lies under.
            record: The record.
        """
        key, keys = signing.signer(record), self._keys(scope)
        if key in keys and not signing.is_genuine(input_hash, record):
            return f"its signature by {key} is not of this record: it was altered, or forged"
        if not self.require_signatures or key in keys:
            return None
        if key is None:
            return "it is not signed, and signatures are required"
        return f"it is signed by {key}, which is no trusted key of scope {scope!r}"

    def is_vouched(self, own: str, scope: str, input_hash: str | None, record: Mapping[str, Any] | None) -> bool:
        """Whether a pickle that a record of this scope names may be loaded.

        Args:
            own: The store's own scope.
            scope: The scope that the record lies in.
            input_hash: What it lies under; None where there is no record.
            record: The record; None where there is none.
        """
        if not self.require_signatures and (scope == own or scope in self.scopes):
            return True
        if record is None or input_hash is None:
            return False
        return signing.signer(record) in self._keys(scope) and signing.is_genuine(input_hash, record)

    def needs_record(self, own: str, scope: str) -> bool:
        """Whether it takes the record to tell if a pickle of this scope may be loaded."""
        return self.require_signatures or (scope != own and scope not in self.scopes and bool(self._keys(scope)))

    def _keys(self, scope: str) -> tuple[str, ...]:
        mine = (signing.public_key(self.signing_key),) if self.signing_key else ()
        # what the own key signed is the own work, wherever it was copied to
        return (*self.keys.get(scope, ()), *mine)


def refused_pickle(what: str, scope: str, own: str) -> str:
    """Why a pickle is not loaded, and what to do for it to be."""
    if scope == own:
        return (
            f"{what} is a pickle, and no record that is signed with a trusted key names it. Signatures are required"
            " here: materialize it again, with a signing key, or add the key of who made it to trusted_keys"
        )
    return (
        f"{what} is a pickle from scope {scope!r}, which is not trusted: loading it would run whatever code its"
        f" writer put in. If you trust all who write there, add {scope!r} to ReproStore(trusted_scopes=[...]) or"
        f" MLREPRO_TRUSTED_SCOPES; to trust one publisher, add their public key to ReproStore(trusted_keys="
        f"{{{scope!r}: [...]}}); or compute it in your own scope"
    )


def _items(environment: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in environment.get(name, "").split(",") if item.strip()]
