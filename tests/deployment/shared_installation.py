"""An installation as docs/deploying.md sets it up: PostgreSQL, S3, a code server, the daemon and the webserver."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, answers, environment, free_port
from tests.store.s3_server import BUCKET, S3Server

WORKSPACE = """
load_from:
  - grpc_server: {{ host: 127.0.0.1, port: {port}, location_name: shop }}
"""


def programs(code_port: int, web_port: int) -> dict[str, list[str]]:
    """What is started, as it is typed."""
    return {
        "code": ["dagster", "code-server", "start", "-f", "shop.py", "-h", "127.0.0.1", "-p", str(code_port)],
        "daemon": ["dagster-daemon", "run", "-w", "workspace.yaml"],
        "web": ["dagster-webserver", "-h", "127.0.0.1", "-p", str(web_port), "-w", "workspace.yaml"],
    }


class Installation(Programs):
    """Dagster's programs with deployment/dagster.yaml as it is."""

    def __init__(self, folder: Path, database: str, s3: S3Server, location: str) -> None:
        super().__init__(folder)
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copy(ROOT / "deployment" / "dagster.yaml", self.home)
        (folder / "shop.py").write_text(location)
        self.code_port, self.web_port = free_port(), free_port()
        (folder / "workspace.yaml").write_text(WORKSPACE.format(port=self.code_port))
        self.store = f"s3://{BUCKET}/store"
        postgres = urlsplit(database)
        self.variables = {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_POSTGRES_USER": str(postgres.username),
            "DAGSTER_POSTGRES_PASSWORD": "any",
            "DAGSTER_POSTGRES_HOST": str(postgres.hostname),
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_DB": postgres.path.lstrip("/"),
            "DAGSTER_LOGS_BUCKET": BUCKET,
            "DAGSTER_LOGS_PREFIX": "dagster-logs",
            "MLREPRO_STORE": self.store,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": s3.options["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": s3.options["secret_access_key"],
        }

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Start everything, and wait until the webserver has found the code server."""
        code, daemon, web = programs(self.code_port, self.web_port).values()
        variables = environment(**self.variables)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.running("code", code, variables))
            self.wait_for_port("the code server", self.code_port)
            stack.enter_context(self.running("daemon", daemon, variables))
            stack.enter_context(self.running("web", web, variables))
            self.wait("the webserver", lambda: answers(f"http://127.0.0.1:{self.web_port}/server_info"))
            yield
