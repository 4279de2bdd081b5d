"""What a tenant may use at once, and what a step gets that asks for nothing."""

from pydantic import Field

from mlrepro.tenancy.fields import Count, Cpu, Memory, Part


class StepResources(Part):
    """What a step, run worker or code server gets that says nothing else.

    Attributes:
        cpu: Cores.
        memory: Bytes.
    """

    cpu: Cpu = Field(default="500m", description="Cores.")
    memory: Memory = Field(default="1Gi", description="Bytes.")


class Limits(Part):
    """How much of a tenant runs at once.

    Attributes:
        runs: Runs. More wait in the queue.
        steps: Steps as pods, over all runs.
    """

    runs: Count = Field(default=10, description="Runs at once; more wait in the queue.")
    steps: Count = Field(default=20, description="Steps at once, over all runs.")


class Quota(Part):
    """What all pods of a tenant may use together.

    Attributes:
        cpu: Cores.
        memory: Bytes.
        gpu: Graphics processors.
        pods: Pods. Default: what the code servers and the limits on runs and steps come to.
        storage: Bytes of volumes that it claims.
    """

    cpu: Cpu = Field(description="Cores.")
    memory: Memory = Field(description="Bytes.")
    gpu: int = Field(default=0, ge=0, description="Graphics processors.")
    pods: Count | None = Field(default=None, description="Pods. Default: code servers, runs and steps together.")
    storage: Memory | None = Field(default=None, description="Bytes of volumes that it claims. Default: no volumes.")
