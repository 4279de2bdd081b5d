"""What is queued and what runs, by tenant, in one query."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import and_, select

from mlrepro.errors import TenantsError
from mlrepro.tenancy.shares import Queue
from mlrepro.tenancy.tags import NOBODY, TENANT_TAG

_QUEUED: Final = dg.DagsterRunStatus.QUEUED.value
_ACTIVE: Final = [status.value for status in ACTIVE_RUN_STATUSES]


def queues_of(instance: dg.DagsterInstance, limits: Mapping[str, int], most: int) -> dict[str, Queue]:
    """The runs of each tenant that has any.

    Dagster's own way to look at the queue reads each run whole; this reads three columns.

    Args:
        instance: Where the runs are.
        limits: How many runs of each tenant may run at once.
        most: How many of all others.

    Raises:
        TenantsError: The runs are in no SQL database.
    """
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise TenantsError(f"runs in {type(storage).__name__} can't be shared out: use PostgreSQL or SQLite")
    tagged = and_(RunTagsTable.c.run_id == RunsTable.c.run_id, RunTagsTable.c.key == TENANT_TAG)
    query = (
        select(RunsTable.c.id, RunsTable.c.status, RunTagsTable.c.value)
        .select_from(RunsTable.outerjoin(RunTagsTable, tagged))
        .where(RunsTable.c.status.in_([_QUEUED, *_ACTIVE]))
    )
    running: dict[str, int] = defaultdict(int)
    waiting: dict[str, set[int]] = defaultdict(set)
    for row in storage.fetchall(query):
        name = row["value"] or NOBODY
        if row["status"] == _QUEUED:
            waiting[name].add(row["id"])
        else:
            running[name] += 1
    return {
        name: Queue(running[name], frozenset(waiting[name]), limits.get(name, most)) for name in {*running, *waiting}
    }
