"""A page: what it is asked for, what it answers, and how that is shown. Each has a twin that answers JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.datastructures import QueryParams

from mlrepro.web.pages.asked import Asked


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


Told = Annotated[str | None, BeforeValidator(_text)]
"""A text out of a record, which anybody may have edited: what is something else is shown as it is."""


class Query(BaseModel):
    """The parameters of a page; what it does not know it leaves alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, given: QueryParams) -> "Query":
        """Read them from an address; what is empty counts as not given.

        Raises:
            pydantic.ValidationError: One is not as it should be.
        """
        values: dict[str, Any] = {}
        for name, parameter in cls.model_fields.items():
            listed = [each for each in given.getlist(name) if each != ""]
            if listed:
                values[name] = listed if get_origin(parameter.annotation) is list else listed[-1]
        return cls.model_validate(values)


@dataclass(frozen=True)
class Built:
    """A page's content.

    Attributes:
        answer: What the JSON twin says.
        more: What the page shows besides, such as plots.
    """

    answer: BaseModel
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: Its path below ``/mlrepro``; empty for the first.
        summary: What it shows, in a line.
        template: What renders it.
        query: Its parameters.
        answer: What its twin answers.
        build: Makes it.
    """

    name: str
    summary: str
    template: str
    query: type[Query]
    answer: type[BaseModel]
    build: Callable[[Asked, Any], Built]

    @property
    def twin(self) -> str:
        """Path of its JSON twin below ``/mlrepro``."""
        return f"api/{self.name or 'overview'}"
