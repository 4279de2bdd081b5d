"""Notices of a rollback sensor, and where they go: `webhook`, or any function."""

import datetime as dt
import json
import logging
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import dagster as dg

from mlrepro.errors import NoticeError

Kind = Literal["rollback", "dry run", "nothing to roll back to", "too many rollbacks", "rollback failed", "broken"]


@dataclass(frozen=True)
class Notice:
    """What a rollback sensor tells people.

    Attributes:
        channel: The channel: ``churn_model/production``, with the partition where there is one.
        kind: What happened: ``rollback`` (one was launched), ``dry run`` (one would have been),
            ``nothing to roll back to``, ``too many rollbacks`` (no more today), ``rollback failed`` (its run did),
            ``broken`` (a condition raised).
        text: One sentence for people, with the values and thresholds.
        sensor: Name of the sensor.
        version: Number of the version that the channel serves.
        when: When, UTC.
    """

    channel: str
    kind: Kind
    text: str
    sensor: str
    version: int
    when: dt.datetime


Hook = Callable[[Notice], object]
"""Takes a notice and does with it what it likes."""


@dataclass(frozen=True)
class Webhook:
    """Posts a notice to a URL.

    Attributes:
        url: The URL; not shown, as it is a secret with most services.
        timeout: How long it waits, in seconds.
    """

    url: "str | dg.EnvVar" = field(repr=False)
    timeout: float

    def __call__(self, notice: Notice) -> None:
        """Post the notice.

        Raises:
            NoticeError: The variable with the URL is not set, or what it holds is none.
            OSError: The service can't be reached, or refuses.
        """
        url = self.url.get_value() if isinstance(self.url, dg.EnvVar) else self.url
        if not url:
            name = self.url.env_var_name if isinstance(self.url, dg.EnvVar) else "url"
            raise NoticeError(f"the URL of the webhook is not known: set the environment variable {name}")
        check_url(url)
        body = json.dumps({"text": f"[{notice.channel}] {notice.kind}: {notice.text}"}).encode()
        request = urllib.request.Request(  # noqa: S310 -- http and https only, see check_url
            url, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310 -- likewise
            answer.read()


def webhook(url: "str | dg.EnvVar", *, timeout: float = 10.0) -> Webhook:
    """Send notices to a webhook as JSON that Slack (Mattermost, Rocket.Chat, …) understands: ``{"text": "…"}``.

    Args:
        url: The URL, or the environment variable that holds it when the sensor runs.
        timeout: How long to wait for the service, in seconds. A sensor's tick waits with it.

    Raises:
        NoticeError: It is no http or https URL.

    Example:
        >>> webhook(dg.EnvVar("SLACK_WEBHOOK"))
        Webhook(timeout=10.0)
    """
    # an EnvVar is a str too, whose value is not known here
    if not isinstance(url, dg.EnvVar):
        check_url(url)
    return Webhook(url, timeout)


def check_url(url: str) -> None:
    """Refuse what is no URL of a web service; it is not repeated, as it may be a secret.

    Raises:
        NoticeError: It is none.
    """
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise NoticeError("a webhook's URL begins with https:// or http://: give one, or an EnvVar that holds one")


def give(notice: Notice, hooks: Iterable[Hook], log: logging.Logger) -> None:
    """Hand a notice to every hook. One that fails is logged, and nothing else changes."""
    for hook in hooks:
        try:
            hook(notice)
        except Exception as error:  # noqa: BLE001 -- whatever a hook does, the decision stands
            name = getattr(hook, "__name__", None) or type(hook).__name__
            log.warning(f"the notice could not be given by {name}: {type(error).__name__}: {error}")
