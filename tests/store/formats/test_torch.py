import collections
from typing import Any

import numpy as np
import pytest

from tests.store.formats.round_trip import STORE, round_trip

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6).reshape(2, 3).T,
        torch.tensor(3.5),
        torch.empty(0, 3),
        torch.tensor([True, False, True]),
        torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        torch.arange(3, dtype=torch.uint8)[1:],
        torch.tensor([1 + 2j]),
        torch.tensor([1.0], requires_grad=True),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_a_tensor_comes_back(tensor: Any) -> None:
    stored, loaded = round_trip(tensor)
    assert stored.format == "safetensors"
    assert loaded.dtype == tensor.dtype
    assert loaded.requires_grad == tensor.requires_grad
    torch.testing.assert_close(loaded, tensor.contiguous(), rtol=0, atol=0, equal_nan=True)


def test_a_state_dict_comes_back_and_needs_no_pickle() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = model.state_dict()
    stored, loaded = round_trip(state)
    assert stored.format == "safetensors"
    assert stored.references == ()
    assert type(loaded) is collections.OrderedDict
    assert list(loaded) == list(state)
    assert loaded._metadata == state._metadata
    model.load_state_dict(loaded)


def test_the_order_of_names_is_kept_and_counts() -> None:
    one, other = torch.zeros(1), torch.ones(2)
    stored, loaded = round_trip({"b": one, "a": other})
    assert list(loaded) == ["b", "a"]
    assert STORE.hash_value({"a": other, "b": one}).content_hash != stored.content_hash


def test_views_that_share_memory_are_stored_one_by_one() -> None:
    base = torch.arange(4.0)
    _, loaded = round_trip({"all": base, "half": base[::2]})
    assert loaded["half"].tolist() == [0, 2]


def test_a_module_is_pickled_without_memory_addresses() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    model[1].weight = torch.nn.Parameter(model[0].weight.detach().T.clone())
    stored, loaded = round_trip(model)
    assert stored.format == "pickle"
    assert "torch.nn.modules.linear:Linear" in stored.references
    torch.testing.assert_close(loaded(torch.ones(1, 2)), model(torch.ones(1, 2)), rtol=0, atol=0)


def test_tied_weights_stay_tied_in_a_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[1].weight = model[0].weight
    _, loaded = round_trip(model)
    assert loaded[0].weight is loaded[1].weight


@pytest.mark.parametrize(
    "tensor", [torch.eye(2).to_sparse(), torch.zeros(2, dtype=torch.complex128)], ids=["sparse", "c128"]
)
def test_what_safetensors_cannot_hold_is_pickled(tensor: Any) -> None:
    stored = STORE.write_value(tensor)
    assert stored.format == "pickle"
    assert torch.equal(STORE.read_value(stored).to_dense(), tensor.to_dense())


def test_others_can_read_the_file(tmp_path: Any) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = STORE.export_value(STORE.write_value({"w": torch.ones(2, 2)}), tmp_path / "w.safetensors")
    np.testing.assert_array_equal(safetensors.load_file(path)["w"].numpy(), np.ones((2, 2)))
