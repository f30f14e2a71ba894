"""What outsiders were promised: an example and a schema of every public event, as files, and what breaks a promise."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from domain.event import Event, Recorded
from domain.ids import Actor, Position
from domain.public import PUBLIC
from services.contracts import EVENTS, event_schema
from services.telling import told
from tests.contract.golden import EXAMPLES
from tests.domain.facts import ANN, NOON

FOLDER = Path(__file__).parent / "public"
LOG = UUID(int=0x10)
STREAM = UUID(int=0x5)
WORDS = {"title", "description", "examples"}
"""What may be said otherwise at any time."""
ADVICE = "Outsiders build on it: keep it as it is and add a field with a default, or add a new version of the event."


def examples() -> dict[str, list[Any]]:
    """Messages of each type, one for each domain event that is told as it."""
    found: dict[str, list[Any]] = {}
    for event in EXAMPLES:
        if type(event) in PUBLIC:
            message = msgspec.json.decode(told(_recorded(event), LOG) or b"")
            found.setdefault(message["type"], []).append(message)
    return found


def schema_file(type_name: str) -> Path:
    return FOLDER / f"{type_name}.schema.json"


def example_file(type_name: str) -> Path:
    return FOLDER / f"{type_name}.examples.json"


def text(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def broken() -> list[str]:
    """What the code no longer keeps of what the files promise, as sentences."""
    said = []
    for path in sorted(FOLDER.glob("*.schema.json")):
        name = path.name.removesuffix(".schema.json")
        if name not in EVENTS:
            said.append(f"The event {name} is gone. {ADVICE}")
            continue
        said += breaks(name, msgspec.json.decode(path.read_bytes()), event_schema(name))
    return said


def breaks(where: str, before: Any, now: Any) -> list[str]:
    """What makes `now` another promise than `before`: only fields that need not be there may have come."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [] if before == now else [f"{where} was {_short(before)}, is {_short(now)}. {ADVICE}"]
    said = []
    for key in sorted((before.keys() | now.keys()) - WORDS):
        if key == "properties":
            said += _fields(where, before.get(key, {}), now.get(key, {}))
        elif key == "required":
            said += _required(where, set(before.get(key, ())), set(now.get(key, ())))
        elif key not in before or key not in now:
            said.append(f"{where} has {'got' if key in now else 'lost'} `{key}`. {ADVICE}")
        else:
            said += breaks(where, before[key], now[key])
    return said


def write() -> list[str]:
    """Write the files anew, unless that would break a promise: then says which."""
    if said := broken():
        return said
    FOLDER.mkdir(exist_ok=True)
    messages = examples()
    for name in EVENTS:
        schema_file(name).write_bytes(text(event_schema(name)))
        example_file(name).write_bytes(text(messages[name]))
    return []


def _fields(where: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    said = [f"The field `{name}` of {where} is gone. {ADVICE}" for name in sorted(before.keys() - now.keys())]
    for name in sorted(before.keys() & now.keys()):
        said += breaks(f"{where}.{name}", before[name], now[name])
    return said


def _required(where: str, before: set[str], now: set[str]) -> list[str]:
    said = [f"`{name}` of {where} is required now. {ADVICE}" for name in sorted(now - before)]
    return said + [f"`{name}` of {where} may be missing now. {ADVICE}" for name in sorted(before - now)]


def _short(part: Any) -> str:
    return msgspec.json.encode(part).decode()[:80]


def _recorded(event: Event) -> Recorded[Event]:
    return Recorded(
        position=Position(7),
        stream=STREAM,
        version=1,
        at=NOON,
        owner=ANN,
        actor=Actor("tests"),
        correlation=STREAM,
        causation=None,
        event=event,
    )
