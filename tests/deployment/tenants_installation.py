"""The demo's two teams as two tenants on one machine: PostgreSQL, S3, code servers, daemons, `mlrepro webserver`.

Each code server has its own tenant's credentials for the bucket and no other. Who asks is told by a proxy, as in a
company: the tests are that proxy, and send the header with the user beside the secret.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg2
import yaml

from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, answers, environment, free_port
from tests.store.s3_server import BUCKET, S3Server, s3_server

SECRET = "a secret that the proxy knows"
TENANTS = ("aircraft", "delay")
GROUPS = {"ana@example.com": "delay", "bob@example.com": "aircraft"}


def signed_in(user: str) -> dict[str, str]:
    """The headers that the proxy adds for a user."""
    return {"X-Forwarded-Email": user, "X-Forwarded-Groups": GROUPS.get(user, ""), "X-Proxy-Secret": SECRET}


class TenantsInstallation(Programs):
    """What ops set up by docs/tenants.md, from deployment/tenants.yaml.

    Args:
        folder: Where all of it is.
        database: URL of a PostgreSQL whose user may create databases.
        visibility: ``shared`` or ``isolated``.
    """

    def __init__(self, folder: Path, database: str, visibility: Literal["shared", "isolated"]) -> None:
        super().__init__(folder)
        self.isolated = visibility == "isolated"
        self.postgres = urlsplit(database)
        self.ports = {tenant: free_port() for tenant in TENANTS}
        self.web_port = free_port()
        self.tenants_file = folder / "tenants.yaml"
        self.audit = folder / "audit.jsonl"
        self.locations = folder / "locations"
        shutil.copytree(ROOT / "deployment" / "locations", self.locations)

    @property
    def address(self) -> str:
        """Where the webserver answers."""
        return f"http://127.0.0.1:{self.web_port}"

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Start everything, and wait until the webserver answers."""
        with contextlib.ExitStack() as stack:
            s3_folder = self.folder / "s3"
            s3_folder.mkdir()
            port = free_port()
            self._write_tenants(f"http://127.0.0.1:{port}")
            s3 = stack.enter_context(s3_server(s3_folder, self._identities()))
            self._write_tenants(s3.endpoint)
            self._render()
            self._make_databases()
            for tenant in TENANTS:
                server = ["dagster", "code-server", "start", "-m", f"{tenant}.definitions", "-d", str(self.locations)]
                server += ["-h", "127.0.0.1", "-p", str(self.ports[tenant])]
                stack.enter_context(self.running(f"code-{tenant}", server, self._variables(s3, tenant)))
            for tenant in TENANTS:
                self.wait_for_port(f"the code server of {tenant}", self.ports[tenant])
            for home in self.homes():
                daemon = ["dagster-daemon", "run", "-w", str(home / "workspace.yaml")]
                variables = self._variables(s3, "instance", home)
                stack.enter_context(self.running(f"daemon-{home.name}", daemon, variables))
            machine = self.folder / "rendered" / "machine"
            web = ["mlrepro", "webserver", "--tenants", str(self.tenants_file), "--home", str(machine)]
            web += ["-h", "127.0.0.1", "-p", str(self.web_port), "--audit", str(self.audit)]
            variables = self._variables(s3, "instance")
            stack.enter_context(self.running("web", web, variables))
            self.wait("the webserver", lambda: answers(f"{self.address}/server_info"))
            yield

    def homes(self) -> list[Path]:
        """The DAGSTER_HOME of each instance: one, or one a tenant."""
        machine = self.folder / "rendered" / "machine"
        return [machine / tenant for tenant in TENANTS] if self.isolated else [machine]

    def _write_tenants(self, endpoint: str) -> None:
        told = yaml.safe_load((ROOT / "deployment" / "tenants.yaml").read_text())
        told["visibility"] = "isolated" if self.isolated else "shared"
        told["instance"]["postgres"] = {
            "host": self.postgres.hostname,
            "port": self.postgres.port,
            "cidrs": ["127.0.0.0/8"],
        }
        told["instance"]["bucket"] = {
            "store": f"s3://{BUCKET}/mlrepro",
            "logs": f"s3://{BUCKET}/dagster-logs",
            "endpoint": endpoint,
        }
        told["identity"] = {
            "proxy": {
                "user_header": "X-Forwarded-Email",
                "groups_header": "X-Forwarded-Groups",
                "secret_header": "X-Proxy-Secret",
                "secret": {"env": "PROXY_SECRET"},
            }
        }
        if self.isolated:  # nobody looks at the other team's
            told["tenants"]["delay"]["members"].remove({"group": "aircraft", "role": "viewer"})
        for tenant in TENANTS:
            # a server that runs already, as an image's does
            location = {"name": tenant, "image": "registry.example.com/flights:1", "host": "127.0.0.1"}
            told["tenants"][tenant]["code_locations"] = [location | {"port": self.ports[tenant]}]
        self.tenants_file.write_text(yaml.safe_dump(told))

    def _render(self) -> None:
        program = Path(sys.executable).parent / "mlrepro"
        command = [program, "tenants", "render", self.tenants_file, "--to", self.folder / "rendered"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    def _identities(self) -> list[dict[str, Any]]:
        """As rendered, with the keys put in, as ops do by envsubst."""
        self._render()
        text = (self.folder / "rendered" / "seaweedfs" / "s3.template.json").read_text()
        for name, (key, secret) in self._keys().items():
            text = text.replace(f"${{{name}_ACCESS_KEY}}", key).replace(f"${{{name}_SECRET_KEY}}", secret)
        identities: list[dict[str, Any]] = json.loads(text)["identities"]
        return identities

    def _keys(self) -> dict[str, tuple[str, str]]:
        names = [*(f"TENANT_{tenant.upper()}" for tenant in TENANTS), "INSTANCE"]
        return {name: (f"{name.lower()}-key", f"{name.lower()}-secret") for name in names}

    def _variables(self, s3: S3Server, who: str, home: Path | None = None) -> dict[str, str]:
        """The environment of a program: of a tenant's code server, or of the instance's own."""
        key, secret = self._keys()["INSTANCE" if who == "instance" else f"TENANT_{who.upper()}"]
        homes = {tenant: self.homes()[index if self.isolated else 0] for index, tenant in enumerate(TENANTS)}
        home = home or homes.get(who)
        scope = {} if who == "instance" else {"MLREPRO_TENANT": who, "MLREPRO_SCOPE": who}
        return environment(
            **scope,
            **({"DAGSTER_HOME": str(home)} if home else {}),
            MLREPRO_STORE=f"s3://{BUCKET}/mlrepro",
            MLREPRO_TENANTS=str(self.tenants_file),
            DAGSTER_POSTGRES_PASSWORD="any",
            **{f"DAGSTER_POSTGRES_PASSWORD_{tenant.upper()}": "any" for tenant in TENANTS},
            PROXY_SECRET=SECRET,
            AWS_ENDPOINT_URL=s3.endpoint,
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ACCESS_KEY_ID=key,
            AWS_SECRET_ACCESS_KEY=secret,
            PYTHONPATH=os.pathsep.join([str(self.locations), str(ROOT)]),
        )

    def _make_databases(self) -> None:
        names = [f"dagster_{tenant}" for tenant in TENANTS] if self.isolated else ["dagster"]
        url = self.postgres.geturl()
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for name in names:
                if name != self.postgres.username:
                    cursor.execute(f"CREATE USER {name}")
                cursor.execute(f"CREATE DATABASE {name} OWNER {name}")
