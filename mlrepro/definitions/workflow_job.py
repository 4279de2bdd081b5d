"""The job that takes a whole code location back: `mlrepro rollback --location` as a form in the launchpad."""

import os

import dagster as dg

from mlrepro.catalog.workflows import append_rollback, parse_number
from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.errors import BundleError, MlreproError
from mlrepro.io_managers import InputHashIOManager
from mlrepro.io_managers.provenance import code_location, launched_by
from mlrepro.workflow_names import WORKFLOW_VERSION


def is_from_bundle() -> bool:
    """Whether this process runs the code of a bundle, so that there is a history to go back in."""
    return WORKFLOW_VERSION in os.environ


def workflow_job(*, io_manager_key: str = "io_manager") -> dg.JobDefinition:
    """Make the job ``rollback_workflow``: serve an earlier workflow version of the job's own code location again.

    `ml_definitions` fills it in where `mlrepro code-server` serves the location.

    Args:
        io_manager_key: Key of the `InputHashIOManager` whose store the history is in.

    Example:
        >>> workflow_job().name
        'rollback_workflow'
    """

    @dg.op(
        name="mlrepro_rollback_workflow",  # as for the jobs that move channels
        config_schema={
            "to": dg.Field(
                str,
                default_value="",
                is_required=False,
                description="The version, such as v12. Empty: the newest earlier one that was not rolled back from.",
            ),
            "reason": dg.Field(str, default_value="", is_required=False, description="Why, for the history."),
        },
        required_resource_keys={io_manager_key},
        out=dg.Out(dg.Nothing),
    )
    def move(context: dg.OpExecutionContext) -> None:
        step_context: StepExecutionContext = context.get_step_execution_context()
        manager = getattr(context.resources, io_manager_key)
        given = context.op_config
        try:
            location = code_location(step_context)
            if location is None or not isinstance(manager, InputHashIOManager):
                raise BundleError("this job takes its own code location back: launch it in the one to take back")
            moved = append_rollback(
                manager.open_store(context.instance),
                location,
                parse_number(given["to"]) if given["to"] else None,
                who=launched_by(dict(context.run.tags)),
                reason=given["reason"],
                run_id=context.run_id,
            )
        except MlreproError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log.info(f"{location}: v{moved.body['from']} -> v{moved.of}, as v{moved.number} of its history")

    @dg.job(
        name="rollback_workflow",
        description="Take this code location, with all its code, back to an earlier workflow version.",
        executor_def=dg.in_process_executor,
    )
    def made() -> None:
        move.alias("rollback_workflow")()

    return made
