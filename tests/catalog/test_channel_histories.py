"""What becomes of a channel when people promote, propose, approve, roll back and release."""

import datetime as dt
import math

import pytest

from mlrepro.catalog.channels import ChannelName, Pointer, channels_of, newest_entry, served_version, served_with
from mlrepro.catalog.history import append_version, find_number
from mlrepro.catalog.moving import Mover, approve, promote, propose, release, roll_back
from mlrepro.errors import ChannelError, ChannelMovedError, NothingToRollBackToError, QuarantinedError
from mlrepro.store import Store, open_store
from tests.catalog.lab import ADA, BEN, MODEL, PRODUCTION, edit, history, moves, serve, served, train

# Promotion


def test_what_is_promoted_is_served(store: Store) -> None:
    first, second = serve(store, "a", "b")
    assert moves(store) == [("promotion", None, 1), ("promotion", 1, 2)]
    found = served_version(store, PRODUCTION)
    assert found == second
    assert store.read_value(found.stored) == "b"
    assert served_with(store, PRODUCTION, first.data_version) == Pointer.to(first)
    assert served_with(store, PRODUCTION, "another") is None


def test_an_entry_says_who_why_when_by_which_run_and_what_the_gates_said(store: Store) -> None:
    mover = Mover("ada", "new month", run_id="run 7", sensor="monthly")
    gates = [{"gate": "auc >= 0.8", "passed": True, "said": "it is 0.83"}]
    before = dt.datetime.now(dt.UTC)
    made = promote(store, PRODUCTION, train(store, "a"), mover, gates=gates, metrics={"auc": 0.83}, export="model.bin")
    assert made is not None
    assert newest_entry(store, PRODUCTION) == made
    assert (made.number, made.kind, made.before, made.who, made.reason, made.run_id, made.sensor) == (
        1, "promotion", None, "ada", "new month", "run 7", "monthly",
    )  # fmt: skip
    assert (made.gates, made.metrics, made.export) == (tuple(gates), {"auc": 0.83}, "model.bin")
    assert before <= made.when <= dt.datetime.now(dt.UTC)


def test_what_is_served_already_is_not_promoted_again(store: Store) -> None:
    (first,) = serve(store, "a")
    assert promote(store, PRODUCTION, first, BEN) is None
    train(store, "b")
    assert promote(store, PRODUCTION, train(store, "a"), BEN) is None  # v3, retrained to the same bytes
    assert moves(store) == [("promotion", None, 1)]


def test_the_same_bytes_in_another_format_are_another_version(store: Store) -> None:
    serve(store, b"1", 1)
    assert moves(store) == [("promotion", None, 1), ("promotion", 1, 2)]
    roll_back(store, PRODUCTION, BEN)
    assert store.read_value(served_version(store, PRODUCTION).stored) == b"1"
    assert promote(store, PRODUCTION, find_number(store, MODEL, None, 1), ADA) is None  # and is not quarantined


def test_two_versions_without_a_value_are_told_apart_by_their_data_version(store: Store) -> None:
    stored = store.write_value(None)
    for data_version in ("first", "second"):
        version, _ = append_version(store, MODEL, None, stored, {"data_version": data_version})
        promote(store, PRODUCTION, version, ADA)
    assert served(store) == 2
    roll_back(store, PRODUCTION, ADA)
    assert served(store) == 1


def test_a_metric_that_is_not_a_number_is_not_recorded(store: Store) -> None:
    made = promote(store, PRODUCTION, train(store, "a"), ADA, metrics={"auc": math.nan, "f1": math.inf, "n": 3})
    assert made is not None
    assert made.metrics == {"n": 3.0}
    waits = propose(store, PRODUCTION, train(store, "b"), ADA, metrics={"auc": -math.inf})
    assert waits is not None
    assert waits.proposed_metrics == {}


# Approval


def test_a_proposal_waits_and_changes_nothing_that_is_served(store: Store) -> None:
    serve(store, "a")
    gates = [{"gate": "auc", "passed": True, "said": "0.9"}]
    waits = propose(store, PRODUCTION, train(store, "b"), ADA, gates=gates, metrics={"auc": 0.9}, approvers=["ben"])
    assert waits is not None
    assert waits.proposed is not None
    assert (served(store), waits.proposed.number, waits.metrics) == (1, 2, {})
    assert propose(store, PRODUCTION, train(store, "b"), ADA) is None

    done = approve(store, PRODUCTION, 2, Mover("ben", "looks good"))
    assert (done.proposed, done.proposed_metrics, done.approvers) == (None, {}, ("ben",))
    assert (done.who, done.reason, done.metrics, done.gates) == ("ben", "looks good", {"auc": 0.9}, tuple(gates))
    assert moves(store) == [("promotion", None, 1), ("proposal", 1, 1), ("promotion", 1, 2)]


def test_only_who_is_named_approves_and_only_what_waits(store: Store) -> None:
    with pytest.raises(ChannelError, match="no version of churn_model/production waits for approval"):
        approve(store, PRODUCTION, None, BEN)
    propose(store, PRODUCTION, train(store, "a"), ADA, approvers=["ben", "eve"])
    with pytest.raises(ChannelError, match=r"ada may not approve for churn_model/production: ben, eve may"):
        approve(store, PRODUCTION, None, ADA)
    propose(store, PRODUCTION, train(store, "b"), ADA)
    with pytest.raises(ChannelError, match="v2 of churn_model/production waits for approval, not v1"):
        approve(store, PRODUCTION, 1, ADA)
    approve(store, PRODUCTION, None, ADA)  # the new proposal names nobody
    assert served(store) == 2


def test_who_approves_promotes_by_hand_and_nobody_else(store: Store) -> None:
    first, second = train(store, "a"), train(store, "b")
    propose(store, PRODUCTION, first, ADA, approvers=["ben"])
    approve(store, PRODUCTION, None, BEN)
    with pytest.raises(ChannelError, match=r"ada may not approve for churn_model/production: ben may, by `mlrepro"):
        promote(store, PRODUCTION, second, ADA)
    promote(store, PRODUCTION, second, BEN)
    promote(store, PRODUCTION, train(store, "c"), ADA, approvers=())  # the definition asks nobody any more
    assert promote(store, PRODUCTION, train(store, "d"), ADA) is not None
    assert served(store) == 4


def test_going_back_to_what_was_served_takes_no_approval(store: Store) -> None:
    first, _, third = (train(store, value) for value in "abc")
    promote(store, PRODUCTION, first, BEN, approvers=["ben"])
    promote(store, PRODUCTION, third, BEN)
    with pytest.raises(ChannelError, match="ada may not approve"):
        roll_back(store, PRODUCTION, ADA, to=2)
    roll_back(store, PRODUCTION, ADA, to=1)
    assert served(store) == 1


def test_what_is_approved_is_written_to_where_its_proposal_said(store: Store) -> None:
    propose(store, PRODUCTION, train(store, "a"), ADA, export="model.bin")
    assert approve(store, PRODUCTION, 1, BEN).export == "model.bin"
    propose(store, PRODUCTION, train(store, "b"), ADA)
    assert approve(store, PRODUCTION, 2, BEN).export == "model.bin"


def test_a_promotion_by_hand_settles_what_waits(store: Store) -> None:
    serve(store, "a")
    propose(store, PRODUCTION, train(store, "b"), ADA)
    made = promote(store, PRODUCTION, find_number(store, MODEL, None, 1), BEN)
    assert made is not None
    assert made.proposed is None
    assert moves(store)[-1] == ("promotion", 1, 1)


# Rollback


def test_a_rollback_goes_to_the_newest_earlier_version_and_quarantines(store: Store) -> None:
    serve(store, "a", "b", "c")
    done = roll_back(store, PRODUCTION, Mover("ben", "AUC fell"))
    assert (done.kind, served(store)) == ("rollback", 2)
    with pytest.raises(QuarantinedError, match=r"v3 is quarantined since ben rolled back from v3 on .*: AUC fell"):
        promote(store, PRODUCTION, find_number(store, MODEL, None, 3), ADA)
    with pytest.raises(QuarantinedError, match="mlrepro release churn_model@v3 --channel production"):
        propose(store, PRODUCTION, find_number(store, MODEL, None, 3), ADA)


def test_the_newest_earlier_version_goes_by_number_not_by_time(store: Store) -> None:
    first, second, _ = serve(store, "a", "b", "c")
    promote(store, PRODUCTION, first, ADA)
    promote(store, PRODUCTION, second, ADA)
    roll_back(store, PRODUCTION, BEN)
    assert moves(store)[-3:] == [("promotion", 3, 1), ("promotion", 1, 2), ("rollback", 2, 1)]


def test_a_rollback_never_ends_at_what_was_not_served_or_is_quarantined_or_has_the_same_bytes(store: Store) -> None:
    serve(store, "a")
    train(store, "never served")
    serve(store, "bad")
    roll_back(store, PRODUCTION, BEN)
    serve(store, "good", "a", "good")
    assert served(store) == 6  # its bytes are those of v4
    roll_back(store, PRODUCTION, BEN)
    assert served(store) == 5  # a, which v1 is as well; v3 is quarantined, v2 was never served
    with pytest.raises(NothingToRollBackToError, match=r"quarantined: v3, v6\)"):
        roll_back(store, PRODUCTION, BEN)


def test_a_retrained_version_with_the_bytes_of_a_quarantined_one_is_refused_until_it_is_released(store: Store) -> None:
    serve(store, "a", "bad")
    roll_back(store, PRODUCTION, Mover("ben", "bad"))
    train(store, "c")
    again = train(store, "bad")
    assert again.number == 4
    with pytest.raises(QuarantinedError, match="v4 is quarantined since ben rolled back from v2"):
        promote(store, PRODUCTION, again, ADA)
    lifted = release(store, PRODUCTION, 4, ADA)  # the number of the retrained one will do
    assert (lifted.kind, lifted.quarantined, lifted.before) == ("release", {}, lifted.after)
    promote(store, PRODUCTION, again, ADA)
    assert served(store) == 4


def test_a_release_says_what_is_quarantined_where_the_version_is_not(store: Store) -> None:
    with pytest.raises(ChannelError, match=r"v1 of churn_model/production is not quarantined \(none is\)"):
        release(store, PRODUCTION, 1, ADA)
    serve(store, "a", "b", "c")
    roll_back(store, PRODUCTION, BEN)
    with pytest.raises(ChannelError, match=r"v2 of churn_model/production is not quarantined \(v3\)"):
        release(store, PRODUCTION, 2, ADA)


def test_what_was_quarantined_before_a_proposal_was_approved_is_not_promoted(store: Store) -> None:
    serve(store, "a", "b")
    propose(store, PRODUCTION, train(store, "c"), ADA)
    edit(store, PRODUCTION.history, 3, {"quarantined": {history(store)[-1].proposed.content: {"version": 3}}})
    with pytest.raises(QuarantinedError, match="v3 is quarantined"):
        approve(store, PRODUCTION, 3, BEN)


def test_there_may_be_nothing_to_roll_back_to(store: Store) -> None:
    with pytest.raises(ChannelError, match=r"churn_model/production serves nothing in .* the asset has no channel"):
        roll_back(store, PRODUCTION, BEN)
    serve(store, "a")
    with pytest.raises(NothingToRollBackToError, match="serves v1 and has nothing to roll back to"):
        roll_back(store, PRODUCTION, BEN)
    with pytest.raises(ChannelError, match=r"staging serves nothing in .* there are churn_model/production"):
        roll_back(store, ChannelName(MODEL, "staging"), BEN)
    assert moves(store) == [("promotion", None, 1)]


def test_a_named_version_has_to_be_an_earlier_one_that_is_not_quarantined(store: Store) -> None:
    serve(store, "a", "b", "c", "d")
    roll_back(store, PRODUCTION, BEN, to=2)
    with pytest.raises(ChannelError, match="serves v2 already"):
        roll_back(store, PRODUCTION, BEN, to=2)
    with pytest.raises(ChannelError, match=r"v3 is newer than v2.*promote it"):
        roll_back(store, PRODUCTION, BEN, to=3)
    for unknown in (0, -1):
        with pytest.raises(NothingToRollBackToError, match=r"there is no such version \(it served v1 before\)"):
            roll_back(store, PRODUCTION, BEN, to=unknown)
    promote(store, PRODUCTION, train(store, "e"), ADA)
    with pytest.raises(QuarantinedError, match="v4 is quarantined"):
        roll_back(store, PRODUCTION, BEN, to=4)
    assert served(store) == 5


def test_a_named_version_need_not_have_been_served(store: Store) -> None:
    train(store, "a")
    serve(store, "b")
    assert roll_back(store, PRODUCTION, BEN, to=1).metrics == {}
    assert served(store) == 1


def test_a_rollback_that_was_decided_on_an_older_entry_does_nothing(store: Store) -> None:
    serve(store, "a", "b", "c")
    with pytest.raises(ChannelMovedError, match=r"entry 3, not 2\): it serves v3 now, by ada, and stays there"):
        roll_back(store, PRODUCTION, BEN, expected=2)
    assert roll_back(store, PRODUCTION, BEN, expected=3).number == 4


def test_the_metrics_that_were_known_then_come_back_with_a_version(store: Store) -> None:
    for value, auc in (("a", 0.7), ("b", 0.8), ("c", 0.6)):
        promote(store, PRODUCTION, train(store, value), ADA, metrics={"auc": auc}, export="model.bin")
    assert roll_back(store, PRODUCTION, BEN).metrics == {"auc": 0.8}
    done = roll_back(store, PRODUCTION, BEN, to=1)
    assert (done.metrics, done.export) == ({"auc": 0.7}, "model.bin")


def test_every_entry_begins_where_the_one_before_it_ended(store: Store) -> None:
    serve(store, "a", "b", "c")
    roll_back(store, PRODUCTION, BEN)
    propose(store, PRODUCTION, train(store, "d"), ADA)
    release(store, PRODUCTION, 3, ADA)
    approve(store, PRODUCTION, None, BEN)
    roll_back(store, PRODUCTION, BEN, to=1)
    entries = history(store)
    assert [each.number for each in entries] == list(range(1, 9))
    assert [each.before for each in entries] == [None, *(each.after for each in entries[:-1])]
    assert [sorted(each.served) for each in entries][-1] == [1, 2, 3, 4]


# Names


@pytest.mark.parametrize("asset", [("churn_model",), ("a/b", ".."), ("_",), ("é" * 90, "x" * 300), ("production",)])
@pytest.mark.parametrize("partition", [None, "_", "__", "..", "a/b", "2026-01-01|eu", "Größe ☃", "p" * 300])
def test_every_asset_and_partition_has_channels_of_its_own(
    store: Store, asset: tuple[str, ...], partition: str | None
) -> None:
    name, beside = ChannelName(asset, "production", partition), ChannelName((*asset, "production"), "x", partition)
    serve(store, "a", "b", name=name)
    serve(store, "c", name=beside)
    roll_back(store, name, BEN)
    assert moves(store, name) == [("promotion", None, 1), ("promotion", 1, 2), ("rollback", 2, 1)]
    assert moves(store, beside) == [("promotion", None, 1)]
    assert channels_of(store, asset) == [name]
    assert channels_of(store, (*asset, "production")) == [beside]


def test_partitions_do_not_meet(store: Store) -> None:
    names = [ChannelName(MODEL, "production", each) for each in (None, "_", "__", "a", "a_", "A b")]
    for number, name in enumerate(names):
        serve(store, f"{number}", name=name)
    assert sorted(map(str, channels_of(store, MODEL))) == sorted(map(str, names))
    for number, name in enumerate(names):
        assert store.read_value(served_version(store, name).stored) == f"{number}"


def test_scopes_do_not_meet(store: Store) -> None:
    serve(store, "a")
    other = open_store(store.url, scope="other")
    assert newest_entry(other, PRODUCTION) is None
    assert channels_of(other, MODEL) == []
