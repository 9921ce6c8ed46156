"""Settings dataclasses from tables, that is, from what a TOML or JSON file holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_origin

from hgrpo_errors import HgrpoError, closest
from hgrpo_fields import Field, fields_of

Settings = TypeVar("Settings")

NONE = "None"
"""None in TOML, which has no value for it, and on the command line."""
_KINDS: dict[Any, tuple[type | tuple[type, ...], str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
}


class TableError(HgrpoError):
    """Raised for a table that does not fit the settings; names the key."""


def read_table(table: Mapping[str, Any], default: Settings) -> Settings:
    """Settings with the values of a table in place of their own.

    Args:
        table: Values by key; a dataclass in the settings is a table in the table. None may be written "None".
        default: Settings that hold for the keys that the table lacks.

    Raises:
        TableError: A key is unknown, or a value has the wrong type.

    Raises also what the dataclass raises for its values.
    """
    return _read(table, default, "", list(_paths(default)))


def plain(value: Any) -> Any:
    """A table that TOML can hold: without None, and with lists in place of tuples."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return NONE if value is None else value


def _read(table: Mapping[str, Any], default: Any, place: str, paths: list[str]) -> Any:
    fields = {field.name: field for field in fields_of(type(default), default)}
    for key in table:
        if key not in fields:
            raise TableError(f"unknown key {place}{key}; {_hint(key, place, paths)}")
    return dataclasses.replace(default, **{key: _value(fields[key], table[key], place, paths) for key in table})


def _hint(key: str, place: str, paths: list[str]) -> str:
    """The same key in another table, the nearest one of this table, or all of this table."""
    elsewhere = next((path for path in paths if path.rpartition(".")[2] == key), None)
    if elsewhere:
        return f"did you mean {elsewhere}?"
    here = [path.removeprefix(place) for path in paths if path.startswith(place)]
    here = [path for path in here if "." not in path]
    near = closest(key, here)
    return f"did you mean {place}{near}?" if near else f"allowed: {', '.join(here)}"


def _paths(settings: Any, place: str = "") -> Iterator[str]:
    """Every key, with those of the tables around it: "network.memory"."""
    for field in fields_of(type(settings), settings):
        yield f"{place}{field.name}"
        if dataclasses.is_dataclass(field.default):
            yield from _paths(field.default, f"{place}{field.name}.")


def _value(field: Field, value: Any, place: str, paths: list[str]) -> Any:
    name = f"{place}{field.name}"
    if dataclasses.is_dataclass(field.default):
        return _read(_mapping(value, name), field.default, f"{name}.", paths)
    if field.optional and (value is None or value == NONE):
        return None
    if get_origin(field.kind) is dict:
        return {key: _named_value(each, f"{name}.{key}") for key, each in _mapping(value, name).items()}
    if not field.several:
        return _single(field, value, name)
    if not isinstance(value, list):
        raise TableError(f"{name} must be a list; given {value!r}")
    return tuple(_single(field, each, name) for each in value)


def _single(field: Field, value: Any, name: str) -> Any:
    types: type | tuple[type, ...]
    types, words = _KINDS.get(field.kind, (str, "a text in quotes"))
    if not isinstance(value, types) or (isinstance(value, bool) and field.kind is not bool):
        raise TableError(f"{name} must be {words}{' or None' if field.optional else ''}; given {value!r}")
    return value if field.kind is not float else float(value)  # type: ignore[arg-type]


def _named_value(value: Any, name: str) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TableError(f"{name} must be a text or a number; given {value!r}")
    return value


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TableError(f"{name} must be a table; given {value!r}")
    return value
