"""Whatever tenants there are: the same bytes each time, and nobody in another's place."""

import random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro.tenancy import Tenants, read_tenants
from mlrepro.tenancy.plain_text import reads_as_text
from mlrepro.tenancy.rendering import render
from mlrepro.tenancy.rendering.rights import rights_of, scope_place
from tests.tenancy.files import SMALL

label = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name != "dagster" and reads_as_text(name)
)
count = st.integers(1, 25)


@st.composite
def files(draw: st.DrawFn) -> str:
    names = draw(st.lists(label, min_size=1, max_size=5, unique=True).filter(lambda found: "shared" not in found))
    tenants = {
        name: {
            "code_locations": [
                draw(
                    st.sampled_from(
                        [
                            {"name": name, "module": "team.definitions"},
                            {"name": name, "image": "registry/team:1", "args": ["-m", "team"], "git_ref": "v1"},
                        ]
                    )
                )
            ],
            "store": {
                "reads": draw(st.lists(st.sampled_from([*names, "shared"]), unique=True)),
                "publishes": draw(st.sampled_from([[], ["shared"]])),
            },
            "quota": {"cpu": draw(st.integers(2, 99)), "memory": "64Gi", "gpu": draw(st.integers(0, 8))},
            "limits": {"runs": draw(count), "steps": draw(count)},
            "secrets": draw(st.lists(label, max_size=2, unique=True)),
            "members": [{"group": name, "role": draw(st.sampled_from(["viewer", "launcher", "editor", "admin"]))}],
        }
        for name in names
    }
    visibility = draw(st.sampled_from(["shared", "isolated"]))
    return yaml.safe_dump({**yaml.safe_load(SMALL), "visibility": visibility, "tenants": tenants})


def _read(text: str) -> Tenants:
    tenants, problems = read_tenants(text)
    assert tenants is not None
    assert problems == []
    return tenants


@settings(max_examples=60, deadline=None)
@given(files(), st.randoms(use_true_random=False))
def test_the_same_tenants_give_the_same_bytes(text: str, chance: random.Random) -> None:
    data = yaml.safe_load(text)
    names = list(data["tenants"])
    chance.shuffle(names)
    shuffled = {**data, "tenants": {name: data["tenants"][name] for name in names}}
    assert render(_read(text)) == render(_read(yaml.safe_dump(shuffled, sort_keys=False)))


@settings(max_examples=60, deadline=None)
@given(files())
def test_nobody_writes_in_anothers_place(text: str) -> None:
    tenants = _read(text)
    assert len({tenant.namespace for tenant in tenants}) == len(tenants.tenants)
    scopes = {tenant.name: scope_place(tenants, tenant.scope).folder for tenant in tenants}
    for tenant in tenants:
        rights = rights_of(tenants, tenant)
        written = [place.folder for place in (*rights.write, *rights.publish, *rights.log)]
        others = [folder for name, folder in scopes.items() if name != tenant.name]
        assert not [a for a in written for b in others if a.startswith(b) or b.startswith(a)]
        foreign = {scopes[name] for name in scopes if name != tenant.name and name not in tenant.tenant.store.reads}
        assert not foreign & {place.folder for place in rights.read}
