"""Reading a decoded JSON value into a Struct: everything that is wrong with it is told at once, each by its path."""

import re
import types
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from domain.refusals import FieldError, Invalid

T = TypeVar("T")

MAX_ERRORS = 20
NOT_THE_FORM = "The request does not have the expected form."
PATH = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
UNKNOWN = re.compile(r"unknown field `(.*?)`")
MISSING = re.compile(r"missing required field `(.*?)`")


def read(value: Any, kind: type[T], at: str = "") -> T:
    """Raises Invalid with up to 20 errors. `at`: the path of the value itself."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Invalid(NOT_THE_FORM, *faults(value, kind, at)) from error


def faults(value: Any, kind: Any, at: str = "") -> tuple[FieldError, ...]:
    """Why `value` is no `kind`, field by field; msgspec itself tells the first."""
    return tuple(islice(_faults(value, kind, at), MAX_ERRORS))


def _faults(value: Any, kind: Any, at: str) -> Iterator[FieldError]:
    within = _bare(kind)
    if isinstance(within, type) and issubclass(within, Struct) and isinstance(value, dict):
        yield from _fields(value, within, at)
    elif isinstance(value, list) and (element := _element(within)) is not None:
        sound = True
        for place, each in enumerate(value):
            for inner in _faults(each, element, f"{at}[{place}]"):
                sound = False
                yield inner
        if sound and (whole := _first(value, kind, at)) is not None:
            yield whole  # too many, or too few
    elif (fault := _first(value, kind, at)) is not None:
        yield fault


def _fields(value: dict[Any, Any], kind: type[Struct], at: str) -> Iterator[FieldError]:
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield FieldError(_below(at, str(name)), f"Object contains unknown field `{name}`.")
    for name, field in known.items():
        if name in value:
            yield from _faults(value[name], field.type, _below(at, name))
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            yield FieldError(_below(at, name), f"Object missing required field `{name}`.")


def _first(value: Any, kind: Any, at: str) -> FieldError | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return field_error(str(error), at)
    return None


def field_error(message: str, at: str = "") -> FieldError:
    """What msgspec says, as the field at fault and the reason."""
    match = PATH.match(message)
    assert match is not None
    path = (match["path"] or "$").removeprefix("$")
    path = at + path if at else path.lstrip(".")
    named = UNKNOWN.search(message) or MISSING.search(message)
    if named:
        path = _below(path, named[1])
    return FieldError(path or "body", match["reason"] + ".")


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _bare(kind: Any) -> Any:
    """Without its bounds, and without the None that may stand for it."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        others = [part for part in get_args(kind) if part not in (type(None), msgspec.UnsetType)]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _element(kind: Any) -> Any:
    """Of `list[X]` or `tuple[X, ...]`: X."""
    arguments = get_args(kind)
    if get_origin(kind) is list or (get_origin(kind) is tuple and arguments[1:] == (...,)):
        return arguments[0]
    return None
