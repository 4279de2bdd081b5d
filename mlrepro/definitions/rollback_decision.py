"""One look of a rollback sensor at one channel: is it bad, may it be rolled back, and what is said of it."""

import datetime as dt
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of, newest_entry
from mlrepro.definitions.notices import Hook, Kind, Notice, give
from mlrepro.quality import Condition, Verdict, View
from mlrepro.quality.memory import Watch
from mlrepro.quality.watching import look
from mlrepro.store import Store

_DAY = dt.timedelta(hours=24)
_MOST_ENTRIES = 1000
"""A channel that moves more often than this in a day has other problems."""

_ATTEMPTS = 3
_BETWEEN_ATTEMPTS = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Policy:
    """What a rollback sensor may do.

    Attributes:
        sensor: Name of the sensor.
        conditions: What is bad.
        to: Number of the version to go back to; None for the newest good one before.
        cascade: Whether what stands downstream is materialized again.
        cooldown: How long after a rollback there is no other.
        most_a_day: How many rollbacks the sensor makes in 24 hours.
        dry_run: Whether it only says what it would do.
        notify: Who is told.
    """

    sensor: str
    conditions: tuple[Condition, ...]
    to: int | None
    cascade: bool
    cooldown: dt.timedelta
    most_a_day: int
    dry_run: bool
    notify: tuple[Hook, ...]


@dataclass(frozen=True)
class Decision:
    """What a look came to.

    Attributes:
        said: What, and why, in words.
        request: The run that rolls back, or None.
    """

    said: str
    request: dg.RunRequest | None = None


@dataclass
class Look:
    """One look at one channel.

    Attributes:
        policy: What may be done.
        store: Where the channel is.
        name: The channel.
        watch: What was known of it, is brought up to date.
        view: Dagster's side.
        log: The tick's log.
    """

    policy: Policy
    store: Store
    name: ChannelName
    watch: Watch
    view: View
    log: logging.Logger
    _entry: ChannelEntry = field(init=False, repr=False)

    def decide(self) -> Decision:
        """Judge what the channel serves, and decide.

        Raises:
            StoreError: The store can't be read.
        """
        entry = newest_entry(self.store, self.name)
        if entry is None or entry.after is None:
            return Decision(f"{self.name} serves nothing yet")
        self._entry = entry
        self._follow_moves()
        since = dt.datetime.fromtimestamp(self.watch.moved, dt.UTC)
        view = look(replace(self.view, channel=entry, since=since), self.watch, self.policy.conditions)
        verdicts = [self._judge(condition, view) for condition in self.policy.conditions]
        alarms = [verdict.said for verdict in verdicts if verdict.alarms]
        if not alarms:
            return Decision(f"{self.name} stays at v{entry.after.number}: {'; '.join(v.said for v in verdicts)}")
        return self._act("; ".join(alarms))

    def _follow_moves(self) -> None:
        """Begin anew where the channel moved: what was seen before is of another version."""
        if self._entry.number == self.watch.looked:
            return
        move = next((entry for entry in entries_of(self.store, self.name) if _moves(entry)), self._entry)
        if move.number != self.watch.entry:
            self.watch.begin(move.number, move.when.timestamp())
        self.watch.looked = self._entry.number

    def _judge(self, condition: Condition, view: View) -> Verdict:
        try:
            return condition.judge(view)
        except Exception as error:
            # one that is broken must neither hide the others nor roll anything back
            said = f"the condition {condition} is broken: {type(error).__name__}: {error}"
            self.log.exception(said)
            self._say("broken", said, key=f"broken {condition}")
            return Verdict.unknown(said)

    def _act(self, reason: str) -> Decision:
        """Something is bad: see what may be done about it."""
        version = self._version
        if (nothing := self._nothing_to_go_to()) is not None:
            said = f"{nothing}, though {reason}"
            self._say("nothing to roll back to", said, loud=True)
            return Decision(said)
        rollbacks = self._recent_rollbacks()
        if rollbacks and (left := rollbacks[0].when + self.policy.cooldown - self.view.now) > dt.timedelta(0):
            waiting = dt.timedelta(seconds=max(int(left.total_seconds()), 1))
            last = f"the last rollback was at {rollbacks[0].when:%Y-%m-%d %H:%M} UTC"
            return Decision(f"{self.name} cools down for another {waiting}, {last}, though {reason}")
        day = [each for each in rollbacks if each.sensor == self.policy.sensor and each.when > self.view.now - _DAY]
        if len(day) >= self.policy.most_a_day:
            said = (
                f"{self.name} was rolled back {len(day)} times within 24 hours by {self.policy.sensor}, as often as it"
                f" may: v{version} stays, though {reason}. Look at it, and roll back by hand where that is right"
            )
            if not self.watch.stopped:
                self.watch.stopped = True
                self._say("too many rollbacks", said, loud=True)
            return Decision(said)
        self.watch.stopped = False
        if self.policy.dry_run:
            said = f"dry run: {self.name} would go back from v{version} to {self._target}: {reason}"
            self._say("dry run", said)
            return Decision(said)
        return self._request(reason)

    def _request(self, reason: str) -> Decision:
        """Ask for the run, unless it was asked for before: the run key tells, whatever became of the cursor."""
        version = self._version
        for attempt in range(1, _ATTEMPTS + 1):
            key = f"{self.policy.sensor}:{self.name}:{self._entry.number}:{attempt}@{self._place}"
            found = self.view.instance.get_run_records(dg.RunsFilter(tags={"dagster/run_key": key}), limit=1)
            if not found:
                said = f"{self.name} goes back from v{version} to {self._target}: {reason}"
                self._say("rollback", said, key=f"rollback {attempt}")
                return Decision(said, self._run(key, reason))
            run, updated = found[0].dagster_run, found[0].update_timestamp
            if not run.is_finished:
                return Decision(f"{self.name} is being rolled back by run {run.run_id}: {reason}")
            if run.is_success:
                return Decision(f"run {run.run_id} left {self.name} at v{version}, see its log, though {reason}")
            failed = f"run {run.run_id}, which was to roll back {self.name} from v{version}, failed: see its log"
            self._say("rollback failed", failed, key=f"rollback failed {attempt}", loud=True)
            wait = updated.replace(tzinfo=updated.tzinfo or dt.UTC) + _BETWEEN_ATTEMPTS
            if attempt < _ATTEMPTS and self.view.now < wait:
                return Decision(f"{failed}; it is tried again at {wait:%H:%M} UTC")
        return Decision(
            f"{_ATTEMPTS} runs failed to roll back {self.name} from v{version}: roll back by hand. {reason}"
        )

    def _run(self, key: str, reason: str) -> dg.RunRequest:
        config = {
            "asset": dg.AssetKey(list(self.name.key)).to_user_string(),
            "to": "" if self.policy.to is None else f"v{self.policy.to}",
            "reason": reason,
            "cascade": self.policy.cascade,
            "partition": self.name.partition or "",
            "expected": self._entry.number,
            "sensor": self.policy.sensor,
        }
        return dg.RunRequest(run_key=key, run_config={"ops": {"rollback": {"config": config}}})

    def _nothing_to_go_to(self) -> str | None:
        """Why there is no version to go back to; None if there seems to be one. The job looks closer."""
        version, to = self._version, self.policy.to
        held = {why.get("version") for why in self._entry.quarantined.values()}
        if to is None:
            if any(number < version and number not in held for number in self._entry.served):
                return None
            why = "every version that it served before is quarantined" if held else "it served none before"
            return f"{self.name} has nothing to roll back to from v{version} ({why})"
        if to >= version:
            return f"{self.name} serves v{version} and can't be rolled back to v{to}, which is not an earlier one"
        if to in held:
            return f"{self.name} can't be rolled back to v{to}, which is quarantined"
        return None

    def _recent_rollbacks(self) -> list[ChannelEntry]:
        """The channel's rollbacks within a day or the cool-down, newest first."""
        oldest = self.view.now - max(_DAY, self.policy.cooldown)
        found: list[ChannelEntry] = []
        for count, entry in enumerate(entries_of(self.store, self.name)):
            if entry.when < oldest or count >= _MOST_ENTRIES:
                break
            if entry.kind == "rollback":
                found.append(entry)
        return found

    @property
    def _version(self) -> int:
        assert self._entry.after is not None, "what serves nothing is not judged"
        return self._entry.after.number

    @property
    def _place(self) -> str:
        """Tells stores apart: several teams may have a channel and a sensor of one name in one Dagster."""
        return hashlib.sha256(f"{self.store.url} {self.store.scope}".encode()).hexdigest()[:8]

    @property
    def _target(self) -> str:
        return "the newest good version before" if self.policy.to is None else f"v{self.policy.to}"

    def _say(self, kind: Kind, text: str, *, key: str | None = None, loud: bool = False) -> None:
        """Give a notice, once for what the channel serves."""
        if (key or kind) in self.watch.said:
            return
        self.watch.said.append(key or kind)
        if loud:
            self.log.error(text)
        notice = Notice(str(self.name), kind, text, self.policy.sensor, self._version, self.view.now)
        give(notice, self.policy.notify, self.log)


def _moves(entry: ChannelEntry) -> bool:
    """Whether an entry changed what the channel serves."""
    return entry.kind in ("promotion", "rollback") and not (entry.after and entry.after.is_same(entry.before))


def sentences(decisions: Sequence[Decision]) -> str:
    """What several looks came to, one a line."""
    return "\n".join(decision.said for decision in decisions)
