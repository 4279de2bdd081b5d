"""The forms that move a channel: what was sent is read and checked, and a job is launched that does it."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.requests import Request

from mlrepro.catalog.channels import newest_entry
from mlrepro.errors import FormError, NotHereError
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.channel import channel_of
from mlrepro.web.pages.launching import Launches, launch_job

Verb = Literal["promote", "rollback", "release"]

VERBS: Final[tuple[Verb, ...]] = ("promote", "rollback", "release")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Move(BaseModel):
    """What a form of a channel's page says."""

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
    store, known, name = channel_of(asked, sent.key, sent.scope, sent.partition)
    if known is None:
        raise NotHereError(f"no code location defines {sent.key}, so nothing can move it here")
    if asked.scope_of(known) != (sent.scope or asked.scope_of(known)):
        # the job moves the channel of its own code location's scope, whatever the form says
        raise NotHereError(f"the channel {sent.key} of scope {sent.scope} is not moved from here")
    if sent.approve is not None:
        newest = newest_entry(store, name)
        if newest is None or newest.proposed is None or newest.proposed.number != sent.approve:
            raise FormError(f"v{sent.approve} waits for approval no more: load the page again")
    config: Mapping[str, Any] = {"reason": sent.reason, "partition": sent.partition or ""}
    run_id = launch_job(server, request, known, verb, {**config, **_form(verb, sent)})
    return asked.page("run", id=run_id, back=known.name, scope=sent.scope, partition=name.partition)


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
            version = f"v{sent.version}" if sent.approve is None else ""
            return {"channel": sent.key, "version": version, "cascade": sent.cascade}
        case "release":
            if sent.version is None:
                raise FormError("the form does not say which version to release")
            return {"asset": sent.key, "version": f"v{sent.version}"}
