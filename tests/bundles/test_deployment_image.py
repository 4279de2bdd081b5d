"""Taking an image location back in the cluster itself, on the double of the Kubernetes API."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlrepro.bundles.deployment_image import patch_image
from mlrepro.catalog.workflows import append_push, current_version
from mlrepro.cli import main
from mlrepro.errors import BundleError
from mlrepro.store import open_store
from tests.deployment.programs import free_port
from tests.kubernetes.double import KubernetesDouble

pytest.importorskip("kubernetes", reason="needs the extra k8s")

NAME = "pricing/code-dagster-user-deployments-pricing"


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDouble]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with KubernetesDouble(tmp_path / "pods", namespaces=["pricing"]) as double:
        double.write_kubeconfig(tmp_path / "kubeconfig", "default")
        containers = [
            {"name": "proxy", "image": "registry/proxy:1"},
            {
                "name": "code",
                "image": "registry/pricing:2",
                "env": [
                    {"name": "DAGSTER_CURRENT_IMAGE", "value": "registry/pricing:2"},
                    {"name": "DAGSTER_PG_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "pg", "key": "password"}}},
                ],
            },
        ]
        spec = {
            "selector": {"matchLabels": {"deployment": "pricing"}},
            "template": {"metadata": {"labels": {"deployment": "pricing"}}, "spec": {"containers": containers}},
        }
        double.create("deployments", "pricing", {"metadata": {"name": NAME.partition("/")[2]}, "spec": spec})
        yield double


def containers(double: KubernetesDouble) -> list[dict[str, Any]]:
    (found,) = double.objects("deployments", "pricing")
    return list(found["spec"]["template"]["spec"]["containers"])


def test_the_image_and_what_its_runs_are_launched_with_change_and_nothing_else(double: KubernetesDouble) -> None:
    before = json.dumps(containers(double))
    assert patch_image(NAME, "registry/pricing:1")
    assert json.dumps(containers(double)) == before.replace("registry/pricing:2", "registry/pricing:1")
    assert not patch_image(NAME, "registry/pricing:1"), "it runs that already"


@pytest.mark.parametrize(
    ("name", "image", "forbidden", "told"),
    [
        ("pricing", "registry/pricing:1", None, "'pricing' is no Deployment: write NAMESPACE/NAME"),
        ("pricing/other", "registry/pricing:1", None, 'deployments.apps "other" not found; kubectl get deployments -A'),
        (NAME, "registry/churn:1", None, "runs registry/proxy:1, registry/pricing:2, and nothing of registry/churn"),
        (NAME, "registry/pricing:1", "get", 'User "tester" cannot get resource "deployments" in the namespace'),
        (
            NAME,
            "registry/pricing:1",
            "patch",
            "ask for get and patch on deployments.apps there, or roll back by --helm",
        ),
    ],
)
def test_what_can_not_be_changed_is_told(
    double: KubernetesDouble, name: str, image: str, forbidden: str | None, told: str
) -> None:
    if forbidden:
        double.forbidden.add((forbidden, "deployments"))
    before = json.dumps(containers(double))
    with pytest.raises(BundleError) as caught:
        patch_image(name, image)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert json.dumps(containers(double)) == before


def test_whoever_deploys_meanwhile_is_not_overruled(double: KubernetesDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = double._patch

    def deployed_before(*arguments: Any) -> Any:
        containers(double)[1]["image"] = "registry/pricing:3"
        return patch(*arguments)

    monkeypatch.setattr(double, "_patch", deployed_before)
    with pytest.raises(BundleError, match="somebody else changed it meanwhile: try again"):
        patch_image(NAME, "registry/pricing:1")
    assert containers(double)[1]["image"] == "registry/pricing:3"


def test_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(BundleError, match=r"there is no cluster to ask .*; set KUBECONFIG"):
        patch_image(NAME, "registry/pricing:1")
    with KubernetesDouble(tmp_path / "pods") as double:
        double.write_kubeconfig(tmp_path / "nothing", "default")
        text = (tmp_path / "nothing").read_text().replace(double.url, f"http://127.0.0.1:{free_port()}")
    (tmp_path / "nothing").write_text(text)
    with pytest.raises(BundleError, match=r"http://127\.0\.0\.1:\d+ does not answer"):
        patch_image(NAME, "registry/pricing:1")


def test_the_history_moves_with_the_deployment_or_not_at_all(
    double: KubernetesDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path / "store"))
    for number in (1, 2):
        image = f"registry/pricing:{number}"
        append_push(store, "pricing", {"digest": image, "module": "m", "image": image, "bundle": None}, who="ci")

    def roll_back(*more: str) -> int:
        arguments = ["rollback", "--location", "pricing", "--deployment", NAME, "--who", "ben", *more]
        monkeypatch.setattr("sys.argv", ["mlrepro", *arguments, "--store", str(tmp_path / "store")])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    def served() -> int:
        found = current_version(store, "pricing")
        assert found is not None
        return found.of

    with contextlib.ExitStack() as stack:
        stack.callback(double.forbidden.clear)
        double.forbidden.add(("patch", "deployments"))
        assert roll_back() == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert served() == 2
    assert roll_back() == 0
    assert capsys.readouterr().out.splitlines() == [
        "pricing: v2 -> v1 by ben, as v3 of its history",
        f"{NAME} has the image registry/pricing:1: Kubernetes rolls it out",
    ]
    assert served() == 1
    assert containers(double)[1]["image"] == "registry/pricing:1"
