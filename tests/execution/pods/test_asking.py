"""What an asset asks of its pod, and how it reaches dagster-k8s."""

import json
from typing import Any

import dagster as dg
import pytest
from dagster_k8s.job import get_user_defined_k8s_config

from mlrepro import ml_asset, ml_definitions, ml_multi_asset
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.pods.asking import pod_tags


def config_of(asset: dg.AssetsDefinition) -> Any:
    """The settings as dagster-k8s itself reads them from the step's tags."""
    return get_user_defined_k8s_config(dict(asset.op.tags))


def asks(**arguments: Any) -> Any:
    @ml_asset(**arguments)
    def model() -> int:
        return 1

    return config_of(model)


def test_resources_are_requested_and_limited() -> None:
    asked = asks(resources={"cpu": "2", "memory": "8Gi", "gpu": 1, "ephemeral_storage": "20Gi"})
    amounts = {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "20Gi"}
    assert asked.container_config["resources"] == {"requests": amounts, "limits": amounts}


def test_numbers_and_names_of_the_cluster_are_taken() -> None:
    asked = asks(resources={"cpu": 0.5, "amd.com/gpu": 2})
    assert asked.container_config["resources"]["limits"] == {"cpu": "0.5", "amd.com/gpu": "2"}


def test_image_and_nodes() -> None:
    asked = asks(image="registry.example.com/gpu:2.1", node_selector={"cloud.example.com/pool": "a100"})
    assert asked.container_config["image"] == "registry.example.com/gpu:2.1"
    assert asked.pod_spec_config["node_selector"] == {"cloud.example.com/pool": "a100"}


def test_a_multi_asset_asks_the_same_way() -> None:
    @ml_multi_asset(outs={"a": dg.AssetOut(), "b": dg.AssetOut()}, resources={"cpu": 1}, node_selector={"disk": "ssd"})
    def both() -> tuple[int, int]:
        return 1, 2

    assert config_of(both).container_config["resources"]["requests"] == {"cpu": "1"}
    assert config_of(both).pod_spec_config == {"node_selector": {"disk": "ssd"}}


@pytest.mark.parametrize("as_text", [False, True])
def test_what_the_tags_say_besides_stays(as_text: bool) -> None:
    given: Any = {
        "container_config": {"working_dir": "/work"},
        "pod_spec_config": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]},
    }
    asked = asks(
        resources={"cpu": 1},
        node_selector={"zone": "a"},
        op_tags={"dagster-k8s/config": json.dumps(given) if as_text else given, "other": "x"},
    )
    assert asked.container_config == {
        "working_dir": "/work",
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
    }
    assert asked.pod_spec_config == {
        "node_selector": {"disk": "ssd", "zone": "a"},
        "tolerations": [{"operator": "Exists"}],
    }


def test_an_asset_that_asks_nothing_has_no_tag() -> None:
    assert pod_tags("model", None, resources=None, image=None, node_selector=None) is None
    assert pod_tags("model", {"a": "b"}, resources={}, image=None, node_selector={}) == {"a": "b"}


def test_saying_the_same_twice_is_no_contradiction() -> None:
    given = {"container_config": {"image": "registry.example.com/gpu:2.1"}}
    asked = asks(image="registry.example.com/gpu:2.1", op_tags={"dagster-k8s/config": given})
    assert asked.container_config["image"] == "registry.example.com/gpu:2.1"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"resources": {"ram": "8Gi"}}, "resources names 'ram', which is none: there are cpu, memory, gpu"),
        ({"resources": {"memory": "8GB"}}, "resources['memory']: '8GB' is no quantity"),
        ({"resources": {"memory": 8}}, "resources['memory']: '8' is less than 1Mi: write the unit, as in 8Gi"),
        ({"resources": {"cpu": 0}}, "resources['cpu']: '0' leaves nothing"),
        ({"resources": {"cpu": -1}}, "resources['cpu']: '-1' is no quantity"),
        ({"resources": {"cpu": None}}, "resources['cpu']: None is no quantity"),
        ({"resources": {"gpu": 0.5}}, "resources['gpu'] is a whole number from 1, not 0.5"),
        ({"resources": {"gpu": True}}, "resources['gpu'] is a whole number from 1, not True"),
        ({"resources": {"gpu": 1, "nvidia.com/gpu": 1}}, "resources names nvidia.com/gpu twice"),
        ({"resources": {"a b/c": 1}}, "resources: 'a b/c' is no key"),
        ({"resources": {7: 1}}, "resources names 7, which is none"),
        ({"resources": ["cpu"]}, "resources takes amounts by name"),
        ({"image": "Team/Project:1"}, "image: 'Team/Project:1' is no image"),
        ({"image": "team/project"}, "says neither tag nor digest"),
        ({"image": 3}, "image: 3 is no image"),
        ({"node_selector": {"a": 1}}, "node_selector['a']: 1 is no label's value"),
        ({"node_selector": "a100"}, "node_selector takes labels by name"),
        ({"node_selector": {"a b": "c"}}, "node_selector: 'a b' is no key"),
        (
            {
                "resources": {"memory": "8Gi"},
                "op_tags": {"dagster-k8s/config": {"container_config": {"resources": {"limits": {"memory": "4Gi"}}}}},
            },
            "but its op tag dagster-k8s/config says '4Gi' under container_config.resources.limits.memory: keep one",
        ),
        (
            {"image": "a/b:1", "op_tags": {"dagster-k8s/config": {"container_config": "x"}}},
            "asks for 'a/b:1', but its op tag dagster-k8s/config says 'x' under container_config: keep one",
        ),
        (
            {"image": "a/b:1", "op_tags": {"dagster-k8s/config": {"container_config": {"image": {"x": 1}}}}},
            "its op tag dagster-k8s/config says something else under container_config.image",
        ),
        ({"image": "a/b:1", "op_tags": {"dagster-k8s/config": "{"}}, "holds no settings of a pod by name"),
    ],
)
def test_what_can_not_be_is_refused_where_it_is_written(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(AssetDefinitionError) as caught:
        asks(**arguments)
    assert str(caught.value).startswith("model: ")
    assert told in str(caught.value)


class TestExecutor:
    """Which executor `ml_definitions` takes."""

    def executor(self) -> str:
        @ml_asset
        def numbers() -> int:
            return 1

        chosen = ml_definitions(assets=[numbers]).executor
        assert isinstance(chosen, dg.ExecutorDefinition)
        return chosen.name

    def test_processes_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLREPRO_EXECUTOR", raising=False)
        assert self.executor() == "cache_first(multi_or_in_process_executor)"

    def test_pods_where_the_environment_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLREPRO_EXECUTOR", "kubernetes")
        assert self.executor() == "cache_first(k8s)"

    def test_an_unknown_one_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLREPRO_EXECUTOR", "k8s")
        with pytest.raises(AssetDefinitionError, match="MLREPRO_EXECUTOR is 'k8s': set it to kubernetes"):
            self.executor()
