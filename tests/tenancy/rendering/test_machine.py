"""Files for a single machine, and those that pods read: Dagster itself takes them."""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.load import location_origins_from_yaml_paths

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering import render
from tests.tenancy.rendering.documents import ISOLATED, SHARED, manifests


def settings(folder: Path, text: str) -> dict[str, object]:
    """What Dagster makes of a dagster.yaml; it raises where a key is none."""
    (folder / "dagster.yaml").write_text(text)
    found, _ = dagster_instance_config(str(folder))
    return dict(found)


@pytest.mark.parametrize(
    ("tenants", "folder", "names"),
    [
        (SHARED, "machine", {"aircraft", "delay"}),
        (ISOLATED, "machine/pricing", {"pricing", "prices-old", "offers"}),
        (ISOLATED, "machine/forecast", {"forecast"}),
    ],
)
def test_dagster_takes_both(tenants: Tenants, folder: str, names: set[str], tmp_path: Path) -> None:
    files = render(tenants)
    found = settings(tmp_path, files[f"{folder}/dagster.yaml"])
    assert found["run_coordinator"]["class"] == "TenantRunCoordinator"
    assert "concurrency" not in found, "or it would come before the limits of tenants.yaml"
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(files[f"{folder}/workspace.yaml"])
    origins = location_origins_from_yaml_paths([str(workspace)])
    assert {origin.location_name for origin in origins} == names


def test_a_key_that_dagster_does_not_know_is_found(tmp_path: Path) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        settings(tmp_path, "concurrency: {rums: {}}")


def test_dagster_takes_what_run_workers_read(tmp_path: Path) -> None:
    from dagster_k8s import K8sRunLauncher

    found = {m["metadata"]["name"]: m for m in manifests(SHARED, "delay") if m["kind"] == "ConfigMap"}
    text = found["dagster-instance"]["data"]["dagster.yaml"]
    settings(tmp_path, text)
    config = yaml.safe_load(text)["run_launcher"]["config"]
    assert process_config(K8sRunLauncher.config_type(), config).success
    assert config["job_namespace"] == "delay"
    assert set(config["env_config_maps"]) | {config["instance_config_map"]} == set(found)
