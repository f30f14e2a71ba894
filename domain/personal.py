"""Personal text in events. The log holds it sealed with a key of the account's own: without the key it is noise."""

from collections.abc import Iterable
from types import UnionType
from typing import Any, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields, replace

from domain.event import Event
from domain.ids import AccountId

DELETED_ACCOUNT = "deleted account"
"""The name that an erased account goes by."""


class PersonalTextError(Exception):
    """An event was about to be stored with its personal text in the clear."""


class Personal(Struct, frozen=True, omit_defaults=True):
    """`sealed`: as a Vault made it, in base64. `text`: what it says, in memory only, and only where it was opened.

    Events of before there were keys have been read with their text and nothing sealed.
    """

    sealed: str
    text: str | None = None


class SealedText(Struct, frozen=True):
    """One personal field of one event: whose, which, and what it holds."""

    account: AccountId
    field: str
    personal: Personal


def personal_fields(event: type[Event]) -> tuple[str, ...]:
    """The names of an event's personal fields. Raises TypeError when it does not say whose they are."""
    found = tuple(field.name for field in fields(event) if _is_personal(field.type))
    if found and "account" not in event.__struct_fields__:
        raise TypeError(f"{event.__name__} has personal fields, so it needs a field `account`.")
    return found


def sealed_texts(event: Event, names: Iterable[str]) -> list[SealedText]:
    """What is there to be opened."""
    values = ((name, getattr(event, name)) for name in names)
    account: AccountId = event.account  # type: ignore[attr-defined]  # looked at by personal_fields
    return [
        SealedText(account, name, value) for name, value in values if value is not None and value.text is None
    ]


def closed(event: Event, names: Iterable[str]) -> Event:
    """The event without any text."""
    values = ((name, getattr(event, name)) for name in names)
    return replace(event, **{name: Personal(value.sealed) for name, value in values if value is not None})


def _is_personal(annotation: Any) -> bool:
    if get_origin(annotation) is UnionType or get_args(annotation):
        return Personal in get_args(annotation)
    return annotation is Personal
