"""What a user may do, in Dagster's own terms: every mutation is checked by Dagster against these."""

from typing import Any

from dagster._core.workspace.context import WorkspaceRequestContext

from mlrepro.tenancy.identity import Identity


class IdentifiedRequestContext(WorkspaceRequestContext):
    """What one request of a known user sees and may do.

    Args:
        identity: Whose request it is.
        **parts: As `WorkspaceRequestContext` takes them.
    """

    def __init__(self, *, identity: Identity, **parts: Any) -> None:
        super().__init__(**parts)
        self.identity = identity
