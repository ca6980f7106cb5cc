"""Frozen dataclasses as the plain values of a file, and back to equal values: field by field, by pydantic."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, CoreSchema, core_schema

T = TypeVar("T")

Number = float | int
"""A number that stays whole where it was written so: `float` alone would turn 569856 into 569856.0."""


@dataclasses.dataclass(frozen=True)
class InARow:
    """Says with `Annotated` that a dataclass is kept as the list of its values, without their names."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a list as positional arguments, and write one."""
        return core_schema.no_info_before_validator_function(
            lambda values: ArgsKwargs(tuple(values)) if isinstance(values, list | tuple) else values,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda item: list(dataclasses.astuple(item))
            ),
        )


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[list[Any]]:
    """Reads and writes in lists, because an adapter of a dataclass itself takes no configuration."""
    return TypeAdapter(list[kind], config=ConfigDict(extra="forbid", ser_json_inf_nan="constants"))


def to_plain(item: Any) -> dict[str, Any]:
    """The fields of a dataclass as dicts, lists, text and numbers, by the keys that `from_plain` reads."""
    kind: Any = type(item)
    values: dict[str, Any] = _adapter(kind).dump_python([item], mode="json", by_alias=True)[0]
    return values


def from_plain(kind: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass that `to_plain` wrote.

    Raises:
        ValueError: a field that is missing, of another type or unknown; one line names the first.
    """
    try:
        item: T = _adapter(kind).validate_python([values])[0]  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}") from None
    return item


def as_told(item: Any) -> dict[str, Any]:
    """`asdict` of what tells of a network, by the keys of result.json, where a network's number is `trial`."""
    return {"trial" if key == "number" else key: value for key, value in dataclasses.asdict(item).items()}
