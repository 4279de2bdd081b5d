"""Which of the values of Dagster's charts may be set, and to what: as far as we set any.

Helm checks values against the chart's own schema. Where the chart is at hand, `MLREPRO_TEST_DAGSTER_CHART` names its
folder (`helm pull dagster/dagster --untar`), and the tests use that schema as well; where Helm is too (`pip install
helm-python-sdk` brings it as a library), test_with_helm.py lets it render the chart.
"""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("MLREPRO_TEST_DAGSTER_CHART")
CODE_FOLDER = "charts/dagster-user-deployments"


def own_schema(folder: Path) -> dict[str, Any]:
    """The chart's schema, but for Kubernetes' parts, which are on the network."""
    schema: dict[str, Any] = json.loads((folder / "values.schema.json").read_text())
    for definition in schema["$defs" if "$defs" in schema else "definitions"].values():
        if definition.get("$ref", "").startswith("https:"):
            del definition["$ref"]
    return schema


TEXT, NUMBER, YES_NO, ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "object"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def only(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": fields}


def needing(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    return schema | {"required": list(names)}


def each(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item}


def one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


PULL = one_of("Always", "IfNotPresent", "Never")
IMAGE = needing(only(repository=TEXT, tag=TEXT, pullPolicy=PULL), "repository", "tag", "pullPolicy")
ACCOUNT = needing(only(create=YES_NO, name=TEXT, annotations=TEXTS), "create", "name", "annotations")
SECURITY = {"podSecurityContext": ANYTHING, "securityContext": ANYTHING}
SERVER = needing(only(host=TEXT, port=NUMBER, name=TEXT, ssl=YES_NO), "host", "port")
# what is not the chart's own, which it hands on to dagster.yaml as it is
CUSTOM = needing(only(**{"module": TEXT, "class": TEXT, "config": ANYTHING}), "module", "class", "config")
VOLUMES = {"volumes": each(ANYTHING), "volumeMounts": each(ANYTHING)}
COORDINATOR = needing(
    only(
        enabled=YES_NO,
        type=one_of("CustomRunCoordinator"),
        config=needing(only(customRunCoordinator=CUSTOM), "customRunCoordinator"),
    ),
    "enabled",
    "type",
    "config",
)
LAUNCHER = needing(
    only(type=one_of("CustomRunLauncher"), config=needing(only(customRunLauncher=CUSTOM), "customRunLauncher")),
    "type",
    "config",
)
S3_LOGS = needing(
    only(bucket=TEXT, prefix=TEXT, region=TEXT, endpointUrl=TEXT, skipEmptyFiles=YES_NO, uploadInterval=NUMBER),
    "bucket",
)
LOGS = needing(
    only(type=one_of("S3ComputeLogManager"), config=needing(only(s3ComputeLogManager=S3_LOGS), "s3ComputeLogManager")),
    "type",
    "config",
)
# the chart's schema takes any name here, and its template leaves out the ones that it does not know
MONITORING = only(
    enabled=YES_NO,
    startTimeoutSeconds=NUMBER,
    cancelTimeoutSeconds=NUMBER,
    maxRuntimeSeconds=NUMBER,
    maxResumeRunAttempts=NUMBER,
    pollIntervalSeconds=NUMBER,
    freeSlotsAfterRunEndSeconds=NUMBER,
)
RETRIES = needing(only(enabled=YES_NO, maxRetries=NUMBER, retryOnAssetOrOpFailure=YES_NO), "enabled")
POSTGRES = only(
    enabled=YES_NO, postgresqlHost=TEXT, postgresqlUsername=TEXT, postgresqlDatabase=TEXT, service=only(port=NUMBER)
)

INSTANCE = only(
    **{
        "global": only(postgresqlSecretName=TEXT, dagsterHome=TEXT),
        "serviceAccount": ACCOUNT,
        "rbacEnabled": YES_NO,
        "dagsterWebserver": only(
            image=IMAGE,
            replicaCount=NUMBER,
            workspace=needing(only(enabled=YES_NO, servers=each(SERVER)), "enabled", "servers"),
            **SECURITY,
        ),
        "dagsterDaemon": only(
            enabled=YES_NO,
            image=IMAGE,
            runCoordinator=COORDINATOR,
            runMonitoring=MONITORING,
            runRetries=RETRIES,
            env=each(needing(only(name=TEXT, value=TEXT), "name", "value")),
            **VOLUMES,
            **SECURITY,
        ),
        "dagster-user-deployments": only(enabled=YES_NO, enableSubchart=YES_NO, deployments=each(ANYTHING)),
        "runLauncher": LAUNCHER,
        "computeLogManager": LOGS,
        "postgresql": POSTGRES,
        "generatePostgresqlPasswordSecret": YES_NO,
        "telemetry": only(enabled=YES_NO),
    }
)

DEPLOYMENT = needing(
    only(
        name=TEXT,
        image=IMAGE,
        dagsterApiGrpcArgs=each(TEXT),
        port=NUMBER,
        includeConfigInLaunchedRuns=needing(only(enabled=YES_NO), "enabled"),
        env=each(needing(only(name=TEXT, value=TEXT), "name", "value")),
        envSecrets=each(needing(only(name=TEXT), "name")),
        labels=TEXTS,
        annotations=TEXTS,
        nodeSelector=TEXTS,
        tolerations=each(ANYTHING),
        resources=ANYTHING,
        **SECURITY,
    ),
    "name",
    "image",
    "port",
)
CODE = only(
    dagsterHome=TEXT,
    postgresqlSecretName=TEXT,
    serviceAccount=ACCOUNT,
    rbacEnabled=YES_NO,
    deployments=each(DEPLOYMENT),
)
