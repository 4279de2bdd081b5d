import textwrap
from pathlib import Path

import pytest
import yaml

from mlrepro.bundles.helm_values import set_image, with_image
from mlrepro.errors import BundleError

VALUES = textwrap.dedent(
    """
    # of the platform team
    dagster-user-deployments:
      enabled: true   # do not touch
      deployments:
        - name: "churn"
          image:
            repository: "registry/churn"
            tag: v9
        - name: pricing
          image:
            repository: registry/pricing   # by CI
            tag: "2026.11.3"
            pullPolicy: Always
          dagsterApiGrpcArgs: ["-m", "pricing.definitions"]
    """
)


def images(text: str) -> dict[str, str]:
    found = yaml.safe_load(text)["dagster-user-deployments"]["deployments"]
    return {each["name"]: f"{each['image']['repository']}:{each['image']['tag']}" for each in found}


def test_only_the_image_of_the_location_changes() -> None:
    changed = with_image(VALUES, "pricing", "registry/pricing:2026.11.1")
    assert images(changed) == {"churn": "registry/churn:v9", "pricing": "registry/pricing:2026.11.1"}
    differing = [new for old, new in zip(VALUES.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert differing == ['        tag: "2026.11.1"']


@pytest.mark.parametrize("tag", ["1.20", "1e3", "true", "null", "0x1f", "2026-11-01", "1234567e8", "0812"])
def test_a_tag_stays_a_text(tag: str) -> None:
    changed = with_image(VALUES, "churn", f"registry:5000/other/churn:{tag}")
    assert yaml.safe_load(changed)["dagster-user-deployments"]["deployments"][0]["image"] == {
        "repository": "registry:5000/other/churn",
        "tag": tag,
    }
    assert f'tag: "{tag}"' in changed, "Helm finds more numbers than PyYAML"


def test_a_tag_that_is_a_text_by_itself_stays_without_quotes() -> None:
    assert "tag: v1\n" in with_image(VALUES, "churn", "registry/churn:v1")


def test_a_file_is_replaced_in_one_step_and_left_alone_where_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(VALUES)
    path.chmod(0o640)
    assert set_image(path, "pricing", "registry/pricing:v1")
    assert images(path.read_text())["pricing"] == "registry/pricing:v1"
    assert path.stat().st_mode & 0o777 == 0o640
    inode = path.stat().st_ino
    assert not set_image(path, "pricing", "registry/pricing:v1")
    assert path.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "image", "why"),
    [
        (VALUES.replace("name: pricing", "name: prizing"), "r/p:v1", "has no deployment pricing"),
        (VALUES.replace('tag: "2026.11.3"', "digest: x"), "r/p:v1", "no image.tag as plain text"),
        (VALUES, "registry/pricing", "has no tag"),
        (VALUES, "r/p@sha256:" + "5e" * 32, "has no tag"),
        (VALUES, "r/p:v1\nevil: true", "has no tag"),
        ("a: [", "r/p:v1", "is no YAML"),
        ("", "r/p:v1", "has no deployment pricing"),
        ("- 1", "r/p:v1", "has no deployment pricing"),
        ("deployments: {name: pricing}", "r/p:v1", "has no deployment pricing"),
    ],
)
def test_what_cannot_be_edited_is_told(text: str, image: str, why: str) -> None:
    with pytest.raises(BundleError, match=why):
        with_image(text, "pricing", image)
