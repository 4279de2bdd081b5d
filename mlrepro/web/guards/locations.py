"""Guards of code locations, and of the instance as a whole."""

from dagster._core.workspace.permissions import Permissions

from mlrepro.web.guards.asked import Asked


def reload_location(asked: Asked) -> None:
    """It must be theirs."""
    location = str(asked.arguments["repositoryLocationName"])
    asked.about("location", location)
    asked.need(Permissions.RELOAD_REPOSITORY_LOCATION, location)


def shut_down_location(asked: Asked) -> None:
    """Whoever may reload may do that in Dagster; but nothing here starts a code server again."""
    asked.about("location", str(asked.arguments["repositoryLocationName"]))
    asked.need(Permissions.RELOAD_WORKSPACE, None)


def reload_workspace(asked: Asked) -> None:
    """It reloads everybody's."""
    asked.need(Permissions.RELOAD_WORKSPACE, None)


def refresh_component(asked: Asked) -> None:
    """The component's code location must be theirs."""
    asked.about("location", asked.arguments["locationName"])
    asked.about("component", asked.arguments["defsStateKey"])
    asked.need(Permissions.REFRESH_COMPONENT_STATE, asked.arguments["locationName"])


def change_component(asked: Asked) -> None:
    """Dagster allows that to nobody, unless a variable for its developers is set."""
    asked.about("location", asked.arguments["locationName"])
    asked.about("component", asked.arguments["componentId"])
    asked.need(Permissions.EDIT_APP_MANAGED_COMPONENTS, asked.arguments["locationName"])


def pause_automation(asked: Asked) -> None:
    """It is everybody's."""
    asked.need(Permissions.TOGGLE_AUTO_MATERIALIZE, None)


def limit_concurrency(asked: Asked) -> None:
    """Keys are the instance's."""
    asked.about("concurrency_key", asked.arguments["concurrencyKey"])
    asked.need(Permissions.EDIT_CONCURRENCY_LIMIT, None)


def free_slots(asked: Asked) -> None:
    """Slots are the instance's; Dagster checks nothing of the run."""
    asked.about("runs", [asked.arguments["runId"]])
    asked.need(Permissions.EDIT_CONCURRENCY_LIMIT, None)


def harmless(asked: Asked) -> None:
    """It concerns how the UI greets, and is nobody's in particular: whoever has a role may."""
    asked.harmless = True
