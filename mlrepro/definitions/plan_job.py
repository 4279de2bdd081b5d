"""The job that plans: what materializing a selection would do, told by the code location's own code, where it runs."""

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext, repository_of
from mlrepro.errors import AssetDefinitionError, MlreproError
from mlrepro.execution.plan import plan_run
from mlrepro.execution.planned import Plan
from mlrepro.execution.selecting import selected_keys
from mlrepro.io_managers.facts import PREFIX

PLAN_JOB = "mlrepro_plan"
"""Name of the job: nobody else's, as pages launch it by its name."""


def plan_job() -> dg.JobDefinition:
    """Make the job ``mlrepro_plan``: `mlrepro.plan` in a run of its own, with the code and the store of other runs.

    `ml_definitions` fills it in, and the webserver's page of plans launches it. It writes nothing but the plan, as
    metadata of its step's output. What the Python environment or the resources decide is as a run would have it: it
    is one.

    Example:
        >>> plan_job().name
        'mlrepro_plan'
    """

    @dg.op(
        name=f"{PLAN_JOB}_assets",  # a code location has one op or graph of a name, and the job's graph has the other
        config_schema={
            "selection": dg.Field([str], description="Keys of the assets, or Dagster's asset selection syntax."),
            "partition": dg.Field(str, default_value="", is_required=False, description="Partition key."),
        },
        out=dg.Out(dg.Nothing),
    )
    def look_up(context: dg.OpExecutionContext) -> None:
        given = context.op_config
        try:
            made = _plan(context, given["selection"], given["partition"] or None)
        except MlreproError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log.info(str(made))
        context.add_output_metadata({f"{PREFIX}plan": dg.MetadataValue.json(made.to_json())})

    @dg.job(
        name=PLAN_JOB,
        description="Tell what materializing a selection would do, and why. Nothing is materialized.",
        executor_def=dg.in_process_executor,
    )
    def made() -> None:
        look_up.alias(PLAN_JOB)()

    return made


def _plan(context: dg.OpExecutionContext, selection: list[str], partition: str | None) -> Plan:
    step_context: StepExecutionContext = context.get_step_execution_context()
    repository = repository_of(step_context)
    if repository is None or not repository.has_implicit_global_asset_job_def():
        raise AssetDefinitionError("this job plans assets of its own code location, and there are none")
    keys = selected_keys(repository.asset_graph, selection)
    assets = repository.get_implicit_global_asset_job_def()
    return plan_run(assets, keys, partition=partition, instance=context.instance)
