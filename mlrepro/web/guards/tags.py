"""Guards of tags: what Dagster, Kubernetes and mlrepro act upon is not for users to say."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from dagster._core.storage import tags as dagster_tags

from mlrepro.tenancy.launching import allowed_priority
from mlrepro.tenancy.permissions import DAGSTER_USER_TAG
from mlrepro.tenancy.tags import LOCATION_TAG, TENANT_TAG
from mlrepro.web.guards.asked import Asked, Refused
from mlrepro.workflow_names import WORKFLOW_VERSION_TAG

IDENTITY_TAGS: Final = frozenset({DAGSTER_USER_TAG, dagster_tags.USER_TAG})
"""Tags that say who launched a run. They are always set to who did."""

_RESERVED_PREFIXES: Final = ("dagster/", ".dagster/", "dagster-", "ecs/")
_RESERVED: Final = IDENTITY_TAGS | {TENANT_TAG, LOCATION_TAG, WORKFLOW_VERSION_TAG}

_FREE: Final = frozenset(
    {
        dagster_tags.PARTITION_NAME_TAG,
        dagster_tags.PARTITION_SET_TAG,
        dagster_tags.ASSET_PARTITION_RANGE_START_TAG,
        dagster_tags.ASSET_PARTITION_RANGE_END_TAG,
        dagster_tags.RESUME_RETRY_TAG,
        dagster_tags.ASSET_RESUME_RETRY_TAG,
        dagster_tags.STEP_SELECTION_TAG,
        dagster_tags.OP_SELECTION_TAG,
        dagster_tags.PARENT_RUN_ID_TAG,  # what they name is checked as a run is
        dagster_tags.ROOT_RUN_ID_TAG,
        dagster_tags.MAX_RETRIES_TAG,
        dagster_tags.RETRY_STRATEGY_TAG,
        dagster_tags.RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
        dagster_tags.MAX_RUNTIME_SECONDS_TAG,
        "dagster/from_ui",
        "dagster/preset_name",
    }
)
"""Of Dagster's own tags those that its UI sends, and those that only concern the run itself."""


def reserved(key: str) -> bool:
    """Whether a tag is not for users to set.

    Example:
        >>> reserved("dagster-k8s/config"), reserved("mlrepro/tenant"), reserved("dagster/partition"), reserved("why")
        (True, True, False, False)
    """
    if key in _RESERVED:
        return True
    if key in _FREE or key.startswith(dagster_tags.MULTIDIMENSIONAL_PARTITION_PREFIX):
        return False
    return key.startswith(_RESERVED_PREFIXES)


def checked(
    asked: Asked,
    given: Iterable[Mapping[str, str]] | None,
    *,
    location: str | None,
    inherited: Callable[[], Mapping[str, str]],
) -> list[dict[str, str]]:
    """The tags that a launch is to have: those given, and who launches it.

    Dagster's UI sends back the tags of the job and of the run that is executed again. So a reserved tag may be there
    as long as it says what the job or that run says anyway.

    Args:
        asked: The launch.
        given: Tags that were sent.
        location: The code location that is launched; None where it has none of its own, as a backfill of assets.
        inherited: The tags of the job, and of the run that is executed again.

    Raises:
        Refused: A reserved tag says something of its own.
    """
    sent = {str(tag["key"]): str(tag["value"]) for tag in given or ()}
    told = {key: value for key, value in sent.items() if key not in IDENTITY_TAGS}
    owner = asked.context.access.owners.get(location) if location is not None else None
    own = {TENANT_TAG: owner, LOCATION_TAG: location}
    suspects = {key for key in sent if reserved(key)}
    known = inherited() if suspects else {}
    for key in sorted(suspects):
        value = sent[key]
        mine = key in IDENTITY_TAGS and value == asked.context.identity.user
        if mine or value == known.get(key) or (key in own and value == own[key]):
            continue
        if asked.context.access.is_admin and key not in _RESERVED:
            continue
        if key == dagster_tags.PRIORITY_TAG and allowed_priority(value):
            continue  # it counts among the tenant's own runs
        raise Refused(f"the tag {key[:100]} can't be set to that: it is not for users to say")
    stamps = asked.context.get_viewer_tags() | {key: value for key, value in own.items() if value is not None}
    return [{"key": key, "value": value} for key, value in (told | stamps).items()]
