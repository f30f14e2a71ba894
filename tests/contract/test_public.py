"""The contract with outsiders: what was promised is kept, and what is promised is true."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from domain.public import EVERYBODYS, PUBLIC, public
from domain.public_events import FOR_EVERYBODY
from services import contracts
from services.contracts import EVENTS, event_schema
from tests.contract.golden import EXAMPLES
from tests.contract.public import FOLDER, _recorded, breaks, broken, example_file, examples, schema_file, text
from tests.terminal import begun


def test_no_promise_is_broken() -> None:
    assert broken() == []


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_the_files_say_what_the_code_says(name: str) -> None:
    """If this fails and the one above does not: `make golden`, and look at the difference."""
    assert schema_file(name).read_bytes() == text(event_schema(name))
    assert example_file(name).read_bytes() == text(examples()[name])


def test_no_file_is_left_over() -> None:
    names = {path.name.partition(".schema")[0].partition(".examples")[0] for path in FOLDER.glob("*.json")}
    assert names == set(EVENTS)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_example_is_as_its_schema_says(name: str) -> None:
    for message in examples()[name]:
        assert problems(event_schema(name), message) == []


def test_what_everybody_is_told_is_known_by_its_domain_event() -> None:
    """The log is asked by stored topics: they must be those whose translations are for everybody."""
    found = {
        type(event)
        for event in EXAMPLES
        if type(event) in PUBLIC and isinstance(public(_recorded(event)), FOR_EVERYBODY)
    }
    assert found == EVERYBODYS


class Before(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: str
    count: int = 0


def schema(kind: type[Struct]) -> Any:
    (_,), parts = msgspec.json.schema_components([kind])
    return next(iter(parts.values()))


class MoreOptional(Struct, tag="thing.happened.v1", tag_field="type"):
    """Described otherwise."""

    thing: str
    count: int = 0
    note: str | None = None


class FieldGone(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: str


class Narrowed(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: int
    count: int = 0


class Widened(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: str | None
    count: int = 0


class MoreRequired(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: str
    other: str
    count: int = 0


class LessRequired(Struct, tag="thing.happened.v1", tag_field="type"):
    thing: str = ""
    count: int = 0


class OtherTag(Struct, tag="thing.occurred.v1", tag_field="type"):
    thing: str
    count: int = 0


class NoTag(Struct):
    thing: str
    count: int = 0


def test_another_optional_field_breaks_nothing() -> None:
    assert breaks("thing", schema(Before), schema(MoreOptional)) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (FieldGone, "`count` of thing is gone"),
        (Narrowed, "thing.thing was"),
        (Widened, "thing.thing has"),
        (MoreRequired, "`other` of thing is required now"),
        (LessRequired, "`thing` of thing may be missing now"),
        (OtherTag, "thing.type was"),
        (NoTag, "`type` of thing is gone"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_anything_else_breaks_the_promise_and_says_what_to_do(now: type[Struct], said: str) -> None:
    sentences = breaks("thing", schema(Before), schema(now))
    assert any(said in sentence for sentence in sentences), sentences
    assert all("add a new version" in sentence for sentence in sentences)


def test_asyncapi_refers_to_what_is_there() -> None:
    document = contracts.asyncapi("1")
    assert document["asyncapi"] == "3.0.0"
    assert set(document["components"]["messages"]) == set(EVENTS)
    for reference in references(document):
        part: Any = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    for channel in document["channels"].values():
        named = {piece.strip("{}") for piece in channel["address"].split(".") if piece.startswith("{")}
        assert named == set(channel["parameters"])


def test_the_contracts_are_exported(tmp_path: Path) -> None:
    for what, to in (("openapi", "o.json"), ("asyncapi", "a/b.json"), ("schemas", "schemas")):
        process = begun(("export", what, "--to", str(tmp_path / to)), os.environ, tmp_path / "said")
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "said").read_text()
    assert json.loads((tmp_path / "o.json").read_text())["openapi"].startswith("3.1")
    assert json.loads((tmp_path / "a/b.json").read_text()) == contracts.asyncapi("1")
    assert {path.name for path in (tmp_path / "schemas").iterdir()} == set(contracts.schemas())


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [each for item in part for each in references(item)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if "$ref" in part else []
    return own + [each for value in part.values() for each in references(value)]


KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
    "object": dict,
    "array": list,
    "null": type(None),
}


def problems(schema: Any, value: Any) -> list[str]:
    """What speaks against a value, for the few words that our schemas use; an unknown word is one."""
    found = [
        f"unknown word {word}"
        for word in schema.keys()
        - {"$schema", "$id", "title", "description", "default", "format", "type", "const", "enum", "anyOf"}
        - {"properties", "required", "items", "minimum", "maximum"}
    ]
    if "anyOf" in schema and all(problems(each, value) for each in schema["anyOf"]):
        found.append(f"{value!r} fits none")
    if "const" in schema and value != schema["const"]:
        found.append(f"{value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value!r} is not in {schema['enum']!r}")
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        found.append(f"{value!r} is no {schema['type']}")
    if isinstance(value, dict):
        found += [f"{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, each in value.items():
            part = schema.get("properties", {}).get(name)
            found += [f"{name} is not described"] if part is None else problems(part, each)
    if isinstance(value, list):
        found += [each for item in value for each in problems(schema.get("items", {}), item)]
    return found
