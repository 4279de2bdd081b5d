"""What `mlrepro tenants check` says: tenant, field, line, and what to do."""

import pytest

from mlrepro.errors import TenantsError
from mlrepro.tenancy import load_tenants
from tests.tenancy.files import EXAMPLE, SMALL, small, team, told


def test_nothing_is_wrong_with_the_example() -> None:
    assert told(EXAMPLE.read_text()) == []


@pytest.mark.parametrize(
    ("more", "line", "says"),
    [
        (
            "members: [{user: ana, role: boss}]",
            9,
            "members[0].role: unknown role 'boss': it is one of viewer, launcher",
        ),
        ("members: [{user: ana, group: g, role: viewer}]", 9, "members[0]: a member is one user or one group"),
        ("members: [{role: viewer}]", 9, "members[0]: a member is one user or one group"),
        ("members:\n- {user: a, role: viewer}\n- {user: a, role: admin}", 11, "user a is a member already, as viewer"),
        ("namspace: x", 9, "namspace: unknown field; did you mean namespace?"),
        ("limits: {runs: many}", 9, "limits.runs: expected a whole number, not 'many'"),
        ("limits: {runs: 0}", 9, "limits.runs: 0: input should be greater than or equal to 1"),
        ("limits: {runs: 99}", 9, "limits.runs: 99 is more than all tenants together may run, 25"),
        ("namespace: Team_A", 9, "namespace: 'Team_A' is no RFC 1123 name"),
        ("namespace: '2026'", 9, "namespace: '2026' is a number or yes or no in YAML"),
        ("secrets: [y]", 9, "secrets[0]: 'y' is a number or yes or no in YAML"),
        ("namespace: kube-system", 9, "namespace kube-system is the cluster's own"),
        ("namespace: dagster", 9, "namespace dagster is that of the webserver and the daemon"),
        ("service_account: {name: -a}", 9, "service_account.name: '-a' is no RFC 1123 name"),
        ("secrets: [a, a]", 9, "secrets[1]: secret a is named twice"),
        ("secrets: [password=123]", 9, "secrets[0]: 'password=123' is no RFC 1123 name"),
        ("step: {cpu: 2x}", 9, "step.cpu: '2x' is no quantity"),
        ("step: {memory: 4}", 9, "step.memory: '4' is less than 1Mi: write the unit, as in 4Gi"),
        ("step: {cpu: 9}", 8, "quota.cpu: 8 is less than one step takes by default, 9"),
        ("step: {cpu: 3}", 8, "quota.cpu: 8 is too little for 1 code server, a run worker and a step of 3 each"),
        ("store: {scope: ../b}", 9, "store.scope: '../b' cannot be a store scope"),
        ("store: {scope: shared}", 9, "store.scope: scope shared leaks"),
        ("store: {scope: Shared}", 9, "store.scope: scope Shared leaks"),
        ("store: {reads: [nobody]}", 9, "store.reads[0]: reads scope nobody, which nobody has: known are a, shared"),
        ("store: {publishes: [nobody]}", 9, "store.publishes[0]: publishes to scope nobody, which nobody has"),
        ("store: {publishes: [a]}", 9, "store.publishes[0]: publishes to a, its own scope"),
        ("placement: {tolerations: [{operator: Exists, key: a, value: b}]}", 9, "operator Exists takes no value"),
        ("placement: {tolerations: [{value: b}]}", 9, "says no key"),
    ],
)
def test_of_a_tenant(more: str, line: int, says: str) -> None:
    (problem,) = told(small(team("a", more)))
    assert problem.startswith(f"tenants.yaml:{line}: tenant a, ")
    assert says in problem


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("{name: a}", "code_locations[0]: says none of module, image and bundle"),
        ("{name: a, module: m, bundle: true}", "code_locations[0]: says bundle: leave module and args out"),
        ("{name: a, image: 'i:1', bundle: true, args: [-m, n]}", "says bundle: leave module and args out"),
        ("{name: a, module: m, image: 'i:1'}", "code_locations[0]: says both module and image"),
        ("{name: a, module: m, args: [-m, n]}", "code_locations[0]: args belong to an image"),
        ("{name: a, module: m-n}", "code_locations[0].module: 'm-n' is no Python module"),
        ("{name: a, image: team/project}", "says neither tag nor digest"),
        ("{name: a, image: 'Team Project:1'}", "is no image"),
        ("{name: 1a, module: m}", "'1a' can't name a Service"),
        ("{name: 'on', module: m}", "'on' is a number or yes or no in YAML, where Dagster's charts have no quotes"),
        ("{name: a, module: m, git_ref: 'a..b'}", "'a..b' is no git ref"),
        ("{name: a, module: m, port: 70000}", "code_locations[0].port"),
    ],
)
def test_of_a_code_location(location: str, says: str) -> None:
    (problem,) = told(small(f"a:\n  quota: {{cpu: 8, memory: 32Gi}}\n  code_locations: [{location}]"))
    assert problem.startswith("tenants.yaml:8: tenant a, code_locations[0]")
    assert says in problem


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("", "namespace: a", "b, namespace: namespace a is tenant a's already"),
        ("", "store: {scope: a}", "b, store.scope: scope a is tenant a's already"),
        ("store: {scope: X}", "store: {scope: x}", "b, store.scope: scope x differs from X by case only"),
        ("", "store: {publishes: [a]}", "b, store.publishes[0]: publishes to scope a, which is another tenant's"),
    ],
)
def test_between_two_tenants(first: str, second: str, says: str) -> None:
    (problem,) = told(small(team("a", first), team("b", second)))
    assert says in problem


def test_two_tenants_may_not_share_a_code_location() -> None:
    other = team("b").replace("name: b", "name: a")
    assert "code location a is tenant a's already" in told(small(team("a"), other))[0]


def test_a_malformed_tenant_hides_nothing_of_the_others_or_of_itself() -> None:
    malformed = team("a", "namespace: team\nnonsense: 1\nlimits: {runs: x}", quota="{cpu: 2x, memory: 1Gi}")
    overlapping = team("b", "namespace: team\nstore: {reads: [shared, a], publishes: [a]}")
    problems = told(small(malformed, overlapping))
    assert [problem.split(":")[1] for problem in problems] == ["8", "10", "11", "15", "16"]
    assert "namespace team is tenant a's already" in problems[3]


def test_keys_that_stand_twice() -> None:
    assert told(small(team("a"), team("a"))) == [
        "tenants.yaml:9: tenant a: stands here twice, first on line 6: keep one"
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("instance:", "instance:\n  path_prefix: ml"), "instance.path_prefix: 'ml' is no path: write it like /ml"),
        (("instance:", "instance:\n  path_prefix: /ml/"), "instance.path_prefix: '/ml/' is no path"),
        (("instance:", "instance:\n  path_prefix: /ml/../x"), "instance.path_prefix: '/ml/../x' is no path"),
        (("instance:", "instance:\n  release: code"), "instance.release: 'code' is the release of the tenants' code"),
        (("instance:", f"instance:\n  release: {'a' * 54}"), "can't name a release of Helm: use up to 53 characters"),
        (("db, cidrs", "db, database: y, cidrs"), "instance.postgres.database: 'y' is a number or yes or no in YAML"),
        (("db, cidrs", "db, user: 'null', cidrs"), "instance.postgres.user: 'null' is a number or yes or no in YAML"),
        (('s3://ml/logs"', "s3://ml/logs\", region: '1'"), "instance.bucket.region: '1' is a number or yes or no"),
        (("db, cidrs", "http://db, cidrs"), "instance.postgres.host: 'http://db' is no host"),
        (("10.0.0.0/24", "10.0.0.1/24"), "instance.postgres.cidrs[0]: '10.0.0.1/24' is no network"),
        (("s3://ml/mlrepro", "ml/mlrepro"), "instance.bucket.store: 'ml/mlrepro' is no place in a bucket"),
        (("s3://ml/mlrepro", "s3://ml/a/../b"), "instance.bucket.store: 's3://ml/a/../b' is no place in a bucket"),
        (("s3://ml/logs", "s3://ml/mlrepro/logs"), "instance.bucket.logs: s3://ml/mlrepro/logs and the store"),
        (("s3://ml/logs", "s3://ml"), "instance.bucket.logs: s3://ml and the store"),
        (
            ("instance:", "visibility: secret\ninstance:"),
            "visibility: unknown visibility 'secret': it is one of shared",
        ),
        (("instance:", "version: 2\ninstance:"), "version: 2 is not known: it is 1"),
        (("instance:", "admins: [{groups: g}]\ninstance:"), "admins[0].groups: unknown field; did you mean group?"),
    ],
)
def test_of_what_all_share(change: tuple[str, str], says: str) -> None:
    problems = told(small(team("a"), begin=SMALL.replace(*change)))
    assert any(says in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "tenants.yaml: is empty"),
        ("a: [", "tenants.yaml:1: is no YAML"),
        ("- a", "expected fields below it"),
        ("tenants: {}\ninstance: {}", "tenants: is empty: give at least one"),
        ("&a [*a]", "is no YAML"),
        ("a: !!python/object:os.system {}", "is no YAML"),
    ],
)
def test_what_is_no_such_file_at_all(text: str, says: str) -> None:
    assert any(says in problem for problem in told(text)), told(text)


def test_loading_tells_all_of_it(tmp_path) -> None:
    file = tmp_path / "tenants.yaml"
    file.write_text(small(team("a", "x: 1\nnamespace: dagster")))
    with pytest.raises(TenantsError) as error:
        load_tenants(file)
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [f"{file}:9", f"{file}:10"]
