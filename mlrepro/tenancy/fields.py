"""Types of the fields in ``tenants.yaml``: each checks its value, and tells editors what belongs there."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from mlrepro.errors import StoreError
from mlrepro.kubernetes_names import check_image, check_qualified
from mlrepro.quantities import check_memory, check_quantity
from mlrepro.store.keys import check_scope
from mlrepro.tenancy import names


class Part(BaseModel):
    """A part of the file: fields that it does not know are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _scope(name: str) -> str:
    try:
        return check_scope(name)
    except StoreError as error:
        raise ValueError(str(error)) from error


def _quantity_schema(example: str) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": "string", "pattern": r"^\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"},
            {"type": "number", "exclusiveMinimum": 0},
        ],
        "examples": [example],
    }


Label = Annotated[str, AfterValidator(names.check_label), Field(max_length=63)]
Release = Annotated[str, AfterValidator(names.check_release), Field(max_length=53)]
ServiceName = Annotated[str, AfterValidator(names.check_service), Field(max_length=63)]
Subdomain = Annotated[str, AfterValidator(names.check_subdomain), Field(max_length=253)]
Plain = AfterValidator(names.check_plain)
Qualified = Annotated[str, AfterValidator(check_qualified)]
Module = Annotated[str, AfterValidator(names.check_module)]
Image = Annotated[str, AfterValidator(check_image)]
GitRef = Annotated[str, AfterValidator(names.check_git_ref)]
Scope = Annotated[str, AfterValidator(_scope)]
Cpu = Annotated[str, BeforeValidator(check_quantity), WithJsonSchema(_quantity_schema("500m"))]
Memory = Annotated[str, BeforeValidator(check_memory), WithJsonSchema(_quantity_schema("8Gi"))]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
