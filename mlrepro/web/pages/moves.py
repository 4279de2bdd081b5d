"""The forms that move a channel or release a pin: what was sent is checked, and a job is launched that does it."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.requests import Request

from mlrepro.catalog.channels import newest_entry
from mlrepro.catalog.pins import pins
from mlrepro.errors import FormError, NotAllowedError, NotHereError
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.channel import channel_of
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.launching import Launches, launch_job
from mlrepro.web.pages.rights import approvers_of, may_approve

Verb = Literal["promote", "rollback", "release"]

VERBS: Final[tuple[Verb, ...]] = ("promote", "rollback", "release")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Move(BaseModel):
    """What a form says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: str = Field(max_length=2000)
    scope: str | None = Field(default=None, max_length=100)
    partition: str | None = Field(default=None, max_length=1000)
    reason: str = Field(default="", max_length=2000)
    version: int | None = Field(default=None, ge=1, le=10**11)
    to: int | None = Field(default=None, ge=1, le=10**11)
    approve: int | None = Field(default=None, ge=1, le=10**11)
    expected: int | None = Field(default=None, ge=1, le=10**11)
    cascade: bool = False

    @field_validator("reason")
    @classmethod
    def _text(cls, reason: str) -> str:
        return _CONTROL.sub(" ", reason).strip()


def move(asked: Asked, server: Launches, request: Request, verb: Verb, sent: Move) -> str:
    """Launch the run that moves a channel as a form says.

    Args:
        asked: Who sent it.
        server: The webserver.
        request: The request.
        verb: What is to be done.
        sent: The form.

    Returns:
        Path of the page that follows the run.

    Raises:
        NotHereError: The user sees no such channel, or nothing defines it any more.
        NotAllowedError: They may not move it.
        FormError: The form lacks something, or Dagster did not take it.
    """
    store, found, name = channel_of(asked, sent.key, sent.scope, sent.partition)
    known = _movable(asked, found, sent)
    newest = newest_entry(store, name)
    waiting = newest.proposed.number if newest and newest.proposed else None
    if sent.approve is not None and sent.approve != waiting:
        raise FormError(f"v{sent.approve} waits for approval no more: load the page again")
    approvers = approvers_of(known, newest)
    if verb == "promote" and not may_approve(asked.user, approvers):
        raise NotAllowedError(f"you may not approve for {sent.key}: {', '.join(approvers)} may")
    return _launch(asked, server, request, known, verb, sent, _form(verb, sent))


def release_asset(asked: Asked, server: Launches, request: Request, sent: Move) -> str:
    """Launch the run that releases an asset from its pin; its arguments are those of `move`.

    Returns:
        Path of the page that follows the run.

    Raises:
        NotHereError: The user sees no such asset, or nothing defines it any more.
        NotAllowedError: They may not release it.
        FormError: It is not held at that version any more, or Dagster did not take it.
    """
    store, found, key = asked.store_of(sent.key, sent.scope)
    known = _movable(asked, found, sent)
    pin = pins(store).get((key, sent.partition or None))
    if pin is None or pin.pointer.number != sent.version:
        # somebody else may have released it since the page was shown, and pinned it for another reason
        told = f"it is pinned at v{pin.pointer.number}" if pin else "it is not pinned"
        raise FormError(f"{sent.key} is not as the page showed it, {told}: load the page again")
    return _launch(asked, server, request, known, "release", sent, {"asset": sent.key})


def _movable(asked: Asked, known: Known | None, sent: Move) -> Known:
    if known is None:
        raise NotHereError(f"no code location defines {sent.key}, so nothing can move it here")
    if asked.scope_of(known) != (sent.scope or asked.scope_of(known)):
        # the job moves what is in its own code location's scope, whatever the form says
        raise NotHereError(f"{sent.key} of scope {sent.scope} is not moved from here")
    return known


def _launch(
    asked: Asked, server: Launches, request: Request, known: Known, verb: Verb, sent: Move, form: Mapping[str, Any]
) -> str:
    config = {"reason": sent.reason, "partition": sent.partition or "", **form}
    run_id = launch_job(server, request, known, verb, config)
    return asked.page("run", id=run_id, back=known.name, scope=sent.scope, partition=sent.partition)


def _form(verb: Verb, sent: Move) -> dict[str, Any]:
    match verb:
        case "rollback":
            if sent.to is None:
                raise FormError("the form does not say which version to go back to")
            # somebody else may have moved the channel since the page was shown
            told = {"expected": sent.expected} if sent.expected is not None else {}
            return {"asset": sent.key, "to": f"v{sent.to}", "cascade": sent.cascade, **told}
        case "promote":
            if sent.version is None and sent.approve is None:
                raise FormError("the form does not say which version to promote")
            if sent.approve is not None:  # that one: another may wait by the time that the run starts
                return {"channel": sent.key, "version": f"v{sent.approve}", "approve": True, "cascade": sent.cascade}
            return {"channel": sent.key, "version": f"v{sent.version}", "cascade": sent.cascade}
        case "release":
            if sent.version is None:
                raise FormError("the form does not say which version to release")
            return {"asset": sent.key, "version": f"v{sent.version}"}
