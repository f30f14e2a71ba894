"""A preset: named values that are laid under those of a run. A character is one: LoRAs, and words around a prompt."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow import Content

NO_PRESET = "There is no such preset."
MAX_NAME = 200
MAX_DESCRIPTION = 2_000


class PresetCreated(Event, frozen=True, kw_only=True, tag="preset.created.v1"):
    owner: AccountId


class PresetSaved(Event, frozen=True, kw_only=True, tag="preset.saved.v1"):
    """All of it, as it is from now on. `document`: the values. `template`: the only one it is for, if it is for one."""

    name: str
    description: str = ""
    template: str | None = None
    document: Content


class PresetPublished(Event, frozen=True, kw_only=True, tag="preset.published.v1"):
    """Everybody may use it."""


class PresetWithdrawn(Event, frozen=True, kw_only=True, tag="preset.withdrawn.v1"):
    """Only its owner may use it."""


class PresetDeleted(Event, frozen=True, kw_only=True, tag="preset.deleted.v1"):
    """Runs that were made with it stay as they are."""


PresetEvent: TypeAlias = PresetCreated | PresetSaved | PresetPublished | PresetWithdrawn | PresetDeleted


class Preset(Struct, frozen=True):
    owner: AccountId | None = None
    public: bool = False
    deleted: bool = False
    saved: PresetSaved | None = None


def evolve(preset: Preset, event: PresetEvent) -> Preset:
    match event:
        case PresetCreated(owner=owner):
            return Preset(owner=owner)
        case PresetSaved():
            return replace(preset, saved=event)
        case PresetPublished():
            return replace(preset, public=True)
        case PresetWithdrawn():
            return replace(preset, public=False)
        case PresetDeleted():
            return replace(preset, deleted=True, public=False)


PRESET: Decider[Preset, PresetEvent] = Decider("preset", Preset(), evolve, lambda preset: preset.owner)


def create(preset: Preset, *, owner: AccountId) -> list[PresetEvent]:
    """Begin a preset. It is saved in the same breath."""
    if preset.owner is not None:
        raise Conflict("This preset exists already.")
    return [PresetCreated(owner=owner)]


def save(preset: Preset, *, by: AccountId, saved: PresetSaved) -> list[PresetEvent]:
    """Keep it as it is to be. As it is already, nothing changes."""
    owned(preset, by=by)
    name, description = saved.name.strip(), saved.description
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        reason = f"It must have 1 to {MAX_NAME} characters, on one line."
        raise Invalid("The name is not usable.", FieldError("name", reason))
    unprintable = any(ord(letter) < 32 and letter not in "\t\r\n" for letter in description)
    if len(description) > MAX_DESCRIPTION or unprintable:
        reason = f"It may have {MAX_DESCRIPTION} characters, and no control characters."
        raise Invalid("The description is not usable.", FieldError("description", reason))
    wanted = replace(saved, name=name)
    return [] if preset.saved == wanted else [wanted]


def publish(preset: Preset, *, by: AccountId) -> list[PresetEvent]:
    """Let everybody use it."""
    owned(preset, by=by)
    return [] if preset.public else [PresetPublished()]


def withdraw(preset: Preset, *, by: AccountId) -> list[PresetEvent]:
    """Let nobody else use it any more."""
    owned(preset, by=by)
    return [PresetWithdrawn()] if preset.public else []


def delete(preset: Preset, *, by: AccountId) -> list[PresetEvent]:
    """Its owner wants it no more. Asking twice is not an error."""
    if preset.deleted and preset.owner == by:
        return []
    owned(preset, by=by)
    return [PresetDeleted()]


def usable(preset: Preset, *, by: AccountId) -> PresetSaved:
    """One's own, or a public one."""
    if preset.saved is None or preset.deleted or (preset.owner != by and not preset.public):
        raise NotFound(NO_PRESET)
    return preset.saved


def owned(preset: Preset, *, by: AccountId) -> None:
    """Raises NotFound: a stranger must not learn which ids exist."""
    if preset.owner != by or preset.deleted:
        raise NotFound(NO_PRESET)
