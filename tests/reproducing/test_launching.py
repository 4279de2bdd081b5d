"""Runs that are launched again, and waited for."""

import dagster as dg
import pytest

from mlrepro.reproducing.launching import NotServedError, RunDeletedError, wait


def test_a_run_that_is_deleted_while_it_is_waited_for_is_not_executed_again_by_another_way() -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(RunDeletedError, match="run gone was deleted"):
        wait(instance, "gone", lambda _: None)
    assert not issubclass(RunDeletedError, NotServedError), "which would have a process on this machine execute it"
