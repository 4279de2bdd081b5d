"""Rolling back a code location that an image holds: the change of a Helm values file, for whoever deploys from git.

Only the image's own text is replaced. Comments, order and quoting of everything else stay as they are.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from mlrepro.errors import BundleError
from mlrepro.tenancy.plain_text import reads_as_text

_IMAGE: Final = re.compile(
    r"(?P<repository>[^\s@]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def set_image(path: Path, location: str, image: str) -> bool:
    """Write the image of a code location into a values file of Dagster's charts.

    Args:
        path: The file; it is replaced in one step.
        location: Name of the deployment in ``deployments``, as of the code location.
        image: ``repository:tag``.

    Returns:
        Whether anything changed.

    Raises:
        BundleError: The file can't be read or written, or has no such deployment.
    """
    try:
        text = path.read_text("utf-8")
        changed = with_image(text, location, image, str(path))
        if changed == text:
            return False
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(changed, "utf-8")
        beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} can't be edited: {error}") from error
    return True


def with_image(text: str, location: str, image: str, name: str = "the values") -> str:
    r"""The values with another image for a code location.

    Args:
        text: YAML: values of the chart ``dagster-user-deployments``, or of ``dagster``, which has them below that name.
        location: Name of the deployment.
        image: ``repository:tag``.
        name: What the text is, for messages.

    Raises:
        BundleError: There is no such deployment, or its image has no repository and tag.

    Example:
        >>> values = "deployments:\n  - name: pricing\n    image: {repository: r/pricing, tag: 'v3'}  # by CI\n"
        >>> print(with_image(values, "pricing", "r/pricing:v2"), end="")
        deployments:
          - name: pricing
            image: {repository: r/pricing, tag: 'v2'}  # by CI
    """
    found = _IMAGE.fullmatch(image)
    if found is None or found["tag"] is None or found["digest"] is not None:
        raise BundleError(f"the image {image!r} has no tag, which is what the charts take: push with --image NAME:TAG")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BundleError(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    for deployment in _deployments(root):
        fields = _fields(deployment)
        if isinstance(fields.get("name"), yaml.ScalarNode) and fields["name"].value == location:
            parts = _fields(fields.get("image"))
            places = {part: parts.get(part) for part in ("repository", "tag")}
            edits = []
            for part, node in places.items():
                if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"}:
                    raise BundleError(f"{name}: the deployment {location} has no image.{part} as plain text")
                edits.append((node, found[part]))
            return _edited(text, edits)
    raise BundleError(f"{name} has no deployment {location} in deployments: it is the file of another location")


def _deployments(root: yaml.Node | None) -> Iterator[yaml.Node]:
    top = _fields(root)
    for fields in (top, _fields(top.get("dagster-user-deployments"))):
        deployments = fields.get("deployments")
        if isinstance(deployments, yaml.SequenceNode):
            yield from deployments.value


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _edited(text: str, edits: list[tuple[yaml.ScalarNode, str]]) -> str:
    for node, value in sorted(edits, key=lambda each: each[0].start_mark.index, reverse=True):
        if node.value == value:
            continue
        quote = node.style if node.style in {"'", '"'} else ""
        if not quote and not reads_as_text(value):
            quote = '"'  # a tag such as 1.20 would be a number
        text = text[: node.start_mark.index] + quote + value + quote + text[node.end_mark.index :]
    return text
