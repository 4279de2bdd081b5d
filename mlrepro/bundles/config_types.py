"""A config schema as JSON, so that an asset can be defined without the code that declares its config."""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg
from dagster._config import ConfigType, ConfigTypeKind, ScalarUnion

from mlrepro.errors import BundleError
from mlrepro.io_managers.config import plain_config

_BY_NAME: Final[Mapping[str, Any]] = {
    "Any": dg.Any,
    "Bool": dg.Bool,
    "BoolSource": dg.BoolSource,
    "Float": dg.Float,
    "Int": dg.Int,
    "IntSource": dg.IntSource,
    "String": dg.String,
    "StringSource": dg.StringSource,
}

_NAMES: Final[Mapping[str, str]] = {dg.Field(kind).config_type.key: name for name, kind in _BY_NAME.items()}
"""Names by Dagster's own key for the type: those that take environment variables have no other."""

_WITH_FIELDS: Final[Mapping[str, Any]] = {"shape": dg.Shape, "permissive": dg.Permissive, "selector": dg.Selector}


def write_field(field: dg.Field) -> dict[str, Any]:
    """Write a field, with its type and its default.

    Raises:
        BundleError: It has a type of the project's own.

    Example:
        >>> write_field(dg.Field(int, default_value=3))
        {'type': 'Int', 'required': False, 'default': 3}
    """
    default = {"default": _default(field)} if field.default_provided else {}
    return {"type": _write(field.config_type), "required": field.is_required, **default}


def read_field(written: Mapping[str, Any]) -> dg.Field:
    """Read what `write_field` wrote.

    Raises:
        BundleError: It was not written by it.
    """
    default = {"default_value": written["default"]} if "default" in written else {}
    return dg.Field(_read(written["type"]), is_required=None if default else bool(written["required"]), **default)


def _default(field: dg.Field) -> Any:
    value = field.default_value
    return {"env": value.env_var_name} if isinstance(value, dg.EnvVar) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise BundleError(f"the default {value!r} of its config is no JSON")


def _write(kind: ConfigType) -> Any:
    if (known := _NAMES.get(kind.key)) is not None:
        return known
    written: Any = kind
    match kind.kind:
        case ConfigTypeKind.NONEABLE:
            return {"noneable": _write(written.inner_type)}
        case ConfigTypeKind.ARRAY:
            return {"array": _write(written.inner_type)}
        case ConfigTypeKind.MAP:
            return {"map": [_write(written.key_type), _write(written.inner_type)]}
        case ConfigTypeKind.SCALAR_UNION:
            return {"union": [_write(written.scalar_type), _write(written.non_scalar_type)]}
        case ConfigTypeKind.ENUM:
            # what the function gets is of a class of the project's; a key has it as `plain_config` writes it
            values = {each.config_value: plain_config(each.python_value) for each in written.enum_values}
            return {"enum": values, "name": kind.given_name}
        case ConfigTypeKind.STRICT_SHAPE | ConfigTypeKind.PERMISSIVE_SHAPE | ConfigTypeKind.SELECTOR:
            name = next(name for name, each in _WITH_FIELDS.items() if isinstance(kind, each))
            return {name: {field: write_field(each) for field, each in written.fields.items()}}
        case _:
            raise BundleError(f"its config has a type of its own, {kind.given_name or kind.key}")


def _read(written: Any) -> Any:
    if isinstance(written, str) and written in _BY_NAME:
        return _BY_NAME[written]
    match written:
        case {"noneable": inner}:
            return dg.Noneable(_read(inner))
        case {"array": inner}:
            return dg.Array(_read(inner))
        case {"map": [key, inner]}:
            return dg.Map(_read(key), _read(inner))
        case {"union": [scalar, other]}:
            return ScalarUnion(scalar_type=_resolved(scalar), non_scalar_schema=_read(other))
        case {"enum": dict() as values, "name": str() as name}:
            return dg.Enum(name, [dg.EnumValue(each, python_value=value) for each, value in values.items()])
        case {"shape": dict() as fields}:
            return dg.Shape(_fields(fields))
        case {"permissive": dict() as fields}:
            return dg.Permissive(_fields(fields))
        case {"selector": dict() as fields}:
            return dg.Selector(_fields(fields))
        case _:
            raise BundleError(f"{written!r} is no type of a config")


def _fields(written: Mapping[str, Any]) -> dict[str, dg.Field]:
    return {name: read_field(each) for name, each in written.items()}


def _resolved(written: Any) -> ConfigType:
    found = dg.Field(_read(written)).config_type
    assert isinstance(found, ConfigType), "a field has one"
    return found
