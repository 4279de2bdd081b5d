"""Guards of schedules and sensors."""

from collections.abc import Callable, Iterator

from dagster._core.remote_representation.external import RemoteRepository, RemoteSchedule, RemoteSensor
from dagster._core.remote_representation.handle import CompoundID
from dagster._core.workspace.permissions import Permissions

from mlrepro.web.guards.asked import Asked, Refused, location_of


def start_schedule(asked: Asked) -> None:
    """Its code location must be theirs."""
    _selected(asked, "schedule_selector", "schedule", Permissions.START_SCHEDULE)


def reset_schedule(asked: Asked) -> None:
    """Its code location must be theirs: it may start by that, or stop."""
    _selected(asked, "schedule_selector", "schedule", Permissions.START_SCHEDULE)
    _selected(asked, "schedule_selector", "schedule", Permissions.STOP_RUNNING_SCHEDULE)


def stop_schedule(asked: Asked) -> None:
    """Both ids must be of one schedule, and it must be theirs.

    Dagster looks at the origin's id, and stops what the selector's id names.
    """
    arguments = asked.arguments
    ids = _ids(arguments.get("id"), arguments.get("schedule_origin_id"), arguments.get("schedule_selector_id"))
    found = _of_ids(asked, ids, lambda repository: iter(repository.get_schedules()))
    _stopped(asked, "schedule", ids, found, Permissions.STOP_RUNNING_SCHEDULE)


def change_sensor(asked: Asked) -> None:
    """Its code location must be theirs."""
    _selected(asked, "sensor_selector", "sensor", Permissions.EDIT_SENSOR)


def set_cursor(asked: Asked) -> None:
    """Its code location must be theirs."""
    _selected(asked, "sensor_selector", "sensor", Permissions.UPDATE_SENSOR_CURSOR)


def stop_sensor(asked: Asked) -> None:
    """Both ids must be of one sensor, and it must be theirs."""
    arguments = asked.arguments
    ids = _ids(arguments.get("id"), arguments.get("job_origin_id"), arguments.get("job_selector_id"))
    found = _of_ids(asked, ids, lambda repository: iter(repository.get_sensors()))
    _stopped(asked, "sensor", ids, found, Permissions.EDIT_SENSOR)


def dry_run_schedule(asked: Asked) -> None:
    """It runs the team's code, so its code location must be theirs."""
    _selected(asked, "selector_data", "schedule", Permissions.SCHEDULE_DRY_RUN)


def dry_run_sensor(asked: Asked) -> None:
    """It runs the team's code, so its code location must be theirs."""
    _selected(asked, "selector_data", "sensor", Permissions.SENSOR_DRY_RUN)


def _selected(asked: Asked, argument: str, what: str, permission: str) -> None:
    selector = asked.arguments[argument]
    asked.about("location", location_of(selector))
    asked.about(what, selector[f"{what}Name"])
    asked.need(permission, location_of(selector))


def _ids(whole: str | None, origin: str | None, selector: str | None) -> CompoundID:
    # as Dagster reads them
    for text in (whole, origin):
        if text and CompoundID.is_valid_string(text):
            found: CompoundID = CompoundID.from_string(text)
            return found
    if whole or not origin or not selector:
        raise Refused("neither an id nor the ids of origin and selector are whole")
    return CompoundID(remote_origin_id=origin, selector_id=selector)


def _of_ids(
    asked: Asked, ids: CompoundID, those: Callable[[RemoteRepository], Iterator[RemoteSchedule | RemoteSensor]]
) -> RemoteSchedule | RemoteSensor | None:
    for location in asked.context.code_locations:
        for repository in location.get_repositories().values():
            for each in those(repository):
                if each.get_remote_origin_id() == ids.remote_origin_id and each.selector_id == ids.selector_id:
                    return each
    return None


def _stopped(
    asked: Asked, what: str, ids: CompoundID, found: RemoteSchedule | RemoteSensor | None, permission: str
) -> None:
    if found is None:
        asked.about("id", ids.to_string())
        asked.need(permission, None)  # of a code location that is gone, or two ids that do not belong together
        return
    location = found.handle.location_name
    asked.about("location", location)
    asked.about(what, found.name)
    asked.need(permission, location)
