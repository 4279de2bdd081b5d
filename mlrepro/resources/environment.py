"""Fields of a resource that are environment variables, where Dagster has not resolved them."""

import os
from typing import Any, TypeVar

from mlrepro.errors import StoreError

Value = TypeVar("Value")


def value_of(field: Value) -> Value:
    """What a field says: `dg.EnvVar("NAME")` is looked up, anything else is as it is.

    Dagster looks variables up when it initializes a resource for a run. A resource that is used without a run, in a
    script or a notebook, still has them as they were written.

    Raises:
        StoreError: If the variable is not set.

    Example:
        >>> import dagster as dg
        >>> os.environ["BUCKET"] = "s3://ml"
        >>> value_of(dg.EnvVar("BUCKET")), value_of(7)
        ('s3://ml', 7)
    """
    name = getattr(field, "env_var_name", None)
    if name is None:
        return field
    variable: Any = field  # Dagster's types say that an EnvVar is the text that it stands for
    if os.environ.get(name) is None:
        raise StoreError(f"The environment variable {name}, which a field of ReproStore names, is not set")
    value: Value = variable.get_value()
    return value
