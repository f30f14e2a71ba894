"""What outsiders may build on, written from the code itself: JSON Schema of every public event, and AsyncAPI 3."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.event import kind
from domain.public_events import FOR_EVERYBODY, PublicEvent
from services.telling import CONTENT_TYPE, Told, public_type

Document = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EVENTS: Mapping[str, type[PublicEvent]] = {
    public_type(event): event for event in sorted(PublicEvent.__subclasses__(), key=public_type)
}
"""By their CloudEvents type."""


def envelope_schema() -> Document:
    """A CloudEvent of ours, whatever it tells."""
    found = _properties(Told)
    return {
        "$schema": DIALECT,
        "$id": "envelope.json",
        "title": "CloudEvent",
        "description": "CloudEvents 1.0, structured JSON. `source` and `id` together name the event for ever; "
        "`id` is its position in the log.",
        "type": "object",
        "properties": found
        | {
            "specversion": {"const": "1.0"},
            "time": {"type": "string", "format": "date-time"},
            "data": {"type": "object"},
        },
        "required": [*found, "data"],
    }


def event_schema(type_name: str) -> Document:
    """A message of one type, envelope and all. Raises KeyError."""
    event = EVENTS[type_name]
    (described,), parts = msgspec.json.schema_components([event], ref_template="#/$defs/{name}")
    envelope = envelope_schema()
    name = described["$ref"].rpartition("/")[2]
    data = parts.pop(name)
    document = envelope | {
        "$id": f"{type_name}.json",
        "title": event.__name__,
        "description": data.pop("description", event.__name__),
        "properties": envelope["properties"] | {"type": {"const": type_name}, "data": data},
    }
    return document | ({"$defs": parts} if parts else {})


def schemas() -> dict[str, Document]:
    """Every schema by its file's name."""
    return {"envelope.json": envelope_schema()} | {f"{name}.json": event_schema(name) for name in EVENTS}


def asyncapi(version: str, host: str = "nats.example.org:4222") -> Document:
    """AsyncAPI 3.0: where which messages are heard over NATS."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ComfyUI Plus events",
            "version": version,
            "description": "What happens to one's own workflows and runs, and what everybody may know. Read through "
            "a durable consumer of the JetStream stream EVENTS; a message's sequence there is its position in the "
            "log. What is older than the stream is at GET /api/v1/events.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "nats": {
                "host": host,
                "protocol": "nats",
                "description": "GET /api/v1/events/nats tells the address, and how consumers are to be called.",
                "security": [{"$ref": "#/components/securitySchemes/apiKey"}],
            }
        },
        "channels": {
            _channel(name): {
                "address": _address(name),
                "title": event.__name__,
                "parameters": {
                    "account": {"description": "The account whose thing it is, a UUID."},
                    "stream": {"description": "The run or workflow, a UUID."},
                },
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            }
            for name, event in EVENTS.items()
        },
        "operations": {
            f"hear_{_channel(name)}": {
                "action": "receive",
                "summary": _summary(event),
                "channel": {"$ref": f"#/channels/{_channel(name)}"},
                "messages": [{"$ref": f"#/channels/{_channel(name)}/messages/{name}"}],
            }
            for name, event in EVENTS.items()
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "title": event.__name__,
                    "summary": _summary(event),
                    "contentType": CONTENT_TYPE,
                    "headers": {
                        "type": "object",
                        "properties": {
                            "Nats-Msg-Id": {"type": "string", "description": "The same for a repeat."},
                            "Comfyplus-Position": {"type": "string", "description": "As `id`."},
                        },
                    },
                    "payload": _inside(event_schema(name)),
                }
                for name, event in EVENTS.items()
            },
            "securitySchemes": {
                "apiKey": {
                    "type": "userPassword",
                    "description": "The API key as token, or as password of any user. Scope `events`.",
                }
            },
        },
    }


def _inside(schema: Document) -> Document:
    """As part of another document."""
    return {key: value for key, value in schema.items() if key not in ("$id", "$schema")}


def _properties(struct: Any) -> Document:
    """Of all its fields but `data`, whose form differs from type to type."""
    fields = msgspec.structs.fields(struct)
    return {each.encode_name: msgspec.json.schema(each.type) for each in fields if each.name != "data"}


def _address(type_name: str) -> str:
    about = kind(type_name)
    reach = "public" if issubclass(EVENTS[type_name], FOR_EVERYBODY) else "own"
    return f"events.{{account}}.{reach}.{about}.{{stream}}{type_name[len(about) :]}"


def _channel(type_name: str) -> str:
    return type_name.replace(".", "_")


def _summary(event: type[PublicEvent]) -> str:
    return (event.__doc__ or event.__name__).strip().splitlines()[0]
