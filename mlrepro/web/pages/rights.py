"""Whether a user may launch what moves a channel or releases a pin, and whether they may approve."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from mlrepro.catalog.channels import ChannelEntry
from mlrepro.tenancy.members import Role
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.known import Known


class Rights(BaseModel):
    """Whether the user may move it."""

    may: bool
    why_not: str | None


def rights_of(asked: Asked, known: Known | None) -> Rights:
    """Whether the user may launch what moves it. Dagster decides when it is launched; this is for the form."""
    if known is None:
        return Rights(may=False, why_not="no code location defines it any more, so nothing could move it here")
    access = replace(asked.context.access, read_only=False)  # it was asked for by GET, and is sent by POST
    if access.reaches(Role.LAUNCHER, known.location):
        return Rights(may=True, why_not=None)
    held = access.role(known.location)
    yours = f"yours is {held}" if held is not None else "you have none there"
    tenant = asked.owners.get(known.location)
    where = f"team {tenant}" if tenant else f"code location {known.location}, which is no team's"
    return Rights(may=False, why_not=f"moving it takes the role launcher in {where}, and {yours}")


def approvers_of(known: Known | None, newest: ChannelEntry | None) -> tuple[str, ...]:
    """Who may approve for a channel; empty for anybody. Its definition says it, else its history.

    Args:
        known: The channel, None where nothing defines it.
        newest: Its newest entry.
    """
    if known is not None and known.approvers is not None:
        return known.approvers
    return newest.approvers if newest is not None else ()


def may_approve(user: str, approvers: Sequence[str]) -> bool:
    """Whether a user may approve, and promote by hand. The job decides when it runs; this is for the form."""
    return not approvers or user in approvers
