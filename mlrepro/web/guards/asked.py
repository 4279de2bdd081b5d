"""What a mutation asks for: which rights it takes, and over what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dagster import AssetKey

from mlrepro.tenancy.permissions import IdentifiedRequestContext

_MOST_NAMES: Final = 50
_LONGEST_NAME: Final = 300
_ADMINISTRATOR: Final = "only an administrator of this Dagster may do that"


class Refused(Exception):  # noqa: N818 -- an answer, not a fault
    """A mutation that may not be made; the text says why."""


@dataclass
class Asked:
    """A mutation as it was asked for, with what has been found out about it.

    Attributes:
        context: Whose request it is, and what they see.
        arguments: The field's arguments, as Dagster's resolver gets them.
        needs: Dagster's permission and the code location that it is needed in, one pair for each thing touched. None
            instead of a location takes an administrator of the whole instance.
        target: What is touched, for the audit log: names and ids, never configuration.
        stamps: Tags that a backfill which this makes is to have.
        harmless: Whether whoever has a role may, as nothing is touched that others see.
    """

    context: IdentifiedRequestContext
    arguments: dict[str, Any]
    needs: list[tuple[str, str | None]] = field(default_factory=list)
    target: dict[str, Any] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)
    harmless: bool = False

    def need(self, permission: str, location: str | None) -> None:
        """A permission that is needed, and in which code location."""
        if (permission, location) not in self.needs:
            self.needs.append((permission, location))

    def need_assets(self, permission: str, keys: Iterable[AssetKey]) -> None:
        """A permission that is needed over assets: in each code location that defines them."""
        told = list(dict.fromkeys(keys))
        self.about("assets", [key.to_user_string() for key in told])
        for key in told:
            locations = self.context.locations_of(key)
            for location in sorted(locations):
                self.need(permission, location)
            if not locations:
                self.need(permission, None)

    def about(self, what: str, names: Iterable[Any] | str | None) -> None:
        """Say for the audit log what is touched, and keep it short."""
        if names is None:
            return
        if isinstance(names, str):
            self.target[what] = names[:_LONGEST_NAME]
            return
        told = [str(name)[:_LONGEST_NAME] for name in names]
        if told:
            self.target[what] = [*self.target.get(what, []), *told][:_MOST_NAMES]
            if len(told) > _MOST_NAMES:
                self.target[f"{what}_in_all"] = len(told)

    @property
    def locations(self) -> list[str]:
        """The code locations that are touched."""
        return sorted({location for _, location in self.needs if location is not None})

    def check(self) -> None:
        """See whether the user may.

        Raises:
            Refused: They may not; the text says what it takes.
        """
        if self.context.access.read_only:
            raise Refused("nothing can be changed by GET or over the websocket: send it by POST")
        if not self.needs and not self.harmless:
            raise Refused("it names nothing that it would change")
        for permission, location in self.needs:
            if location is None or not self.context.has_code_location_name(location):
                if not self.context.has_permission(permission):
                    about = "" if location is None else f": code location {location[:_LONGEST_NAME]} is not loaded"
                    raise Refused(f"{_ADMINISTRATOR}{about}")
            elif not self.context.has_permission_for_location(permission, location):
                result = self.context.permissions_for_location(location_name=location).get(permission)
                raise Refused(_ADMINISTRATOR if result is None else result.disabled_reason or _ADMINISTRATOR)


def key_of(given: Mapping[str, Any]) -> AssetKey:
    """The asset key of an ``AssetKeyInput``."""
    return AssetKey.from_graphql_input(given)


def location_of(selector: Mapping[str, Any]) -> str:
    """The code location of any of Dagster's selectors."""
    return str(selector["repositoryLocationName"])
