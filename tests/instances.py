"""Dagster instances for tests: in memory or on SQLite, and all on PostgreSQL where MLREPRO_TEST_POSTGRES is set.

Each process of the tests has a server of its own, and each instance a database of its own.
"""

import itertools
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import dagster as dg

from tests.postgres import throwaway_postgres

ON_POSTGRES = os.environ.get("MLREPRO_TEST_POSTGRES", "") not in {"", "0"}

_PLAIN = "telemetry:\n  enabled: false\n"
_session = ExitStack()
_test = ExitStack()
_numbers = itertools.count()


def new_instance() -> dg.DagsterInstance:
    """An instance that is thrown away with the test, in memory if it need not be on PostgreSQL."""
    if not ON_POSTGRES:
        return dg.DagsterInstance.ephemeral()
    home = dagster_home(Path(_test.enter_context(tempfile.TemporaryDirectory(prefix="home-"))) / "home")
    return _test.enter_context(open_instance(home))


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open the instance of a DAGSTER_HOME."""
    instance = dg.DagsterInstance.from_config(str(home))
    if ON_POSTGRES:
        # connections are kept, as the webserver keeps them: to make one for each query is half of a test's time
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
    return instance


def dagster_home(folder: Path, template: Path | None = None) -> Path:
    """Make a DAGSTER_HOME, by copying one whose SQLite files are made already if there is one."""
    if template is not None and not ON_POSTGRES:
        return shutil.copytree(template, folder)
    folder.mkdir()
    storage = f"storage:\n  postgres:\n    postgres_url: {_new_database()}\n" if ON_POSTGRES else ""
    (folder / "dagster.yaml").write_text(_PLAIN + storage)
    return folder


def end_of_test() -> None:
    """Throw away what `new_instance` and `dagster_home` made."""
    _test.close()


def end_of_session() -> None:
    """Stop the server, if one was started."""
    _session.close()


def _new_database() -> str:
    server = _server()
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE migrated")
    _test.callback(_execute, server, f"DROP DATABASE {name} WITH (FORCE)")
    return f"{server}/{name}"


@cache
def _server() -> str:
    """A server with a database in which Dagster's tables are made: to copy it takes a tenth of making them."""
    server = _session.enter_context(throwaway_postgres()).rpartition("/")[0]
    _execute(server, "CREATE DATABASE migrated")
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        settings = f"{_PLAIN}storage:\n  postgres:\n    postgres_url: {server}/migrated\n"
        (Path(home) / "dagster.yaml").write_text(settings)
        with dg.DagsterInstance.from_config(home) as instance:
            instance.get_runs(limit=1)
            instance.get_asset_records()
            instance.all_instigator_state()
    return server


def _execute(server: str, command: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(f"{server}/postgres")) as connection:
        connection.autocommit = True
        connection.cursor().execute(command)
