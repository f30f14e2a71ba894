"""Presets: each wish of their owner, one handler."""

import msgspec
from msgspec import Struct

from commands.filling import find, preset_values
from commands.needs import Command, Needs
from commands.ports import ObjectTooLarge
from commands.streams import Accepted, Change, Context
from domain import preset
from domain.ids import AccountId, Position, PresetId
from domain.preset import PRESET, Preset, PresetEvent, PresetSaved
from domain.refusals import Invalid
from domain.workflow import Content
from workflows.presets import PresetValues, faults

MAX_BYTES = 256 * 1024
NOT_POSSIBLE = "This preset cannot be used."


class CreatePreset(Command, frozen=True, kw_only=True):
    """`template`: the only one it is for; None: any that has parameters of these names."""

    owner: AccountId
    name: str
    description: str = ""
    template: str | None = None
    values: PresetValues
    public: bool = False


class SavePreset(Command, frozen=True, kw_only=True):
    """All of it anew. `expected`: the revision it is meant for, None for any; so in the wishes below."""

    by: AccountId
    preset: PresetId
    name: str
    description: str = ""
    template: str | None = None
    values: PresetValues
    public: bool = False
    expected: int | None = None


class DeletePreset(Command, frozen=True, kw_only=True):
    by: AccountId
    preset: PresetId
    expected: int | None = None


class SavedPreset(Struct, frozen=True):
    id: PresetId
    position: Position


class ShownPreset(Struct, frozen=True):
    """`revision`: raised by every change."""

    state: Preset
    saved: PresetSaved
    values: PresetValues
    revision: int


async def create_preset(command: CreatePreset, context: Context, needs: Needs) -> SavedPreset:
    """Raises NotFound, Invalid, ObjectTooLarge, KeyReused."""
    id = PresetId(needs.new_id())
    saved = await _saved(command, command.owner, needs)

    def decide(state: Preset) -> list[PresetEvent]:
        events = preset.create(state, owner=command.owner)
        return events + _save(PRESET.fold(state, events), command.owner, saved, command.public)

    accepted = await needs.streams.transact(context, Change(PRESET, id, decide, new=True))
    if accepted.repeated:
        recorded = await needs.streams.log.at(accepted.first)
        assert recorded is not None
        id = PresetId(recorded.stream)
    return SavedPreset(id, accepted.position)


async def save_preset(command: SavePreset, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, ObjectTooLarge, Outdated, KeyReused."""
    state, _ = await needs.streams.load(PRESET, command.preset)
    preset.owned(state, by=command.by)
    saved = await _saved(command, command.by, needs)
    change = Change(
        PRESET,
        command.preset,
        lambda state: _save(state, command.by, saved, command.public),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def delete_preset(command: DeletePreset, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        PRESET,
        command.preset,
        lambda state: preset.delete(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def shown(id: PresetId, by: AccountId, needs: Needs) -> ShownPreset:
    """One's own, or a public one. Raises NotFound."""
    state, revision = await needs.streams.load(PRESET, id)
    saved = preset.usable(state, by=by)
    return ShownPreset(state, saved, await preset_values(saved, needs), revision)


async def _saved(command: CreatePreset | SavePreset, by: AccountId, needs: Needs) -> PresetSaved:
    """Its values checked and stored."""
    form = None
    if command.template is not None:
        form = (await find(command.template, by, needs)).template.form
    if errors := tuple(faults(command.values, form)):
        raise Invalid(NOT_POSSIBLE, *errors)
    body = msgspec.json.encode(command.values)
    if len(body) > MAX_BYTES:
        raise ObjectTooLarge(f"The preset has more than {MAX_BYTES} bytes.")
    return PresetSaved(
        name=command.name,
        description=command.description,
        template=command.template,
        document=Content(await needs.contents.put(body), len(body)),
    )


def _save(state: Preset, by: AccountId, saved: PresetSaved, public: bool) -> list[PresetEvent]:
    events = preset.save(state, by=by, saved=saved)
    return events + (preset.publish if public else preset.withdraw)(state, by=by)
