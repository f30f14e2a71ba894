"""Keeping what an editor wants kept of an account: its settings, and files that are no workflows."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from commands.needs import Command, Needs
from commands.ports import ObjectTooLarge
from commands.streams import Accepted, Change, Contended, Context
from domain import desk
from domain.desk import DESK, INLINE_CHARACTERS, Desk, DeskEvent, Setting
from domain.ids import AccountId, desk_id
from domain.refusals import FieldError, Invalid
from domain.workflow import Content

MAX_AT_ONCE = 200  # settings of one request
PATIENCE = 4  # times that others may be faster, six times each
MAX_SETTING_BYTES = 1024 * 1024
NOT_THERE = "What was kept is not there any more."


class SetSettings(Command, frozen=True, kw_only=True):
    """`values`: JSON, by name. All of them or none."""

    by: AccountId
    values: Mapping[str, bytes]


class KeepFile(Command, frozen=True, kw_only=True):
    by: AccountId
    path: str
    body: bytes
    overwrite: bool = True


class MoveFile(Command, frozen=True, kw_only=True):
    by: AccountId
    path: str
    to: str
    overwrite: bool = True


class RemoveFile(Command, frozen=True, kw_only=True):
    by: AccountId
    path: str


async def set_settings(command: SetSettings, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, Conflict, ObjectTooLarge."""
    if len(command.values) > MAX_AT_ONCE:
        reason = f"At most {MAX_AT_ONCE} at once."
        raise Invalid("These are too many settings.", FieldError("settings", reason))
    settings = {name: await _setting(name, value, needs) for name, value in command.values.items()}

    def decide(state: Desk) -> list[DeskEvent]:
        events: list[DeskEvent] = []
        for name, setting in settings.items():
            events += desk.set_setting(DESK.fold(state, events), by=command.by, name=name, setting=setting)
        return events

    return await _changed(command.by, decide, context, needs)


async def keep_file(command: KeepFile, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, NotAllowed, Conflict, ObjectTooLarge."""
    path = desk.checked_path(command.path)
    if len(command.body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"The file has more than {needs.limits.graph_bytes} bytes.")
    content = Content(await needs.contents.put(command.body), len(command.body))
    at, overwrite = needs.now(), command.overwrite

    def decide(state: Desk) -> list[DeskEvent]:
        return desk.keep_file(state, by=command.by, path=path, content=content, at=at, overwrite=overwrite)

    return await _changed(command.by, decide, context, needs)


async def move_file(command: MoveFile, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, NotAllowed, Conflict."""

    def decide(state: Desk) -> list[DeskEvent]:
        return desk.move_file(state, path=command.path, to=command.to, overwrite=command.overwrite)

    return await _changed(command.by, decide, context, needs)


async def remove_file(command: RemoveFile, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""

    def decide(state: Desk) -> list[DeskEvent]:
        return desk.remove_file(state, path=command.path)

    return await _changed(command.by, decide, context, needs)


async def settings_of(account: AccountId, needs: Needs) -> dict[str, bytes]:
    """Each value as JSON."""
    state, _ = await needs.streams.load(DESK, desk_id(account))
    values = await asyncio.gather(*(_value(each, needs) for each in state.settings.values()))
    return dict(zip(state.settings, values, strict=True))


async def kept_body(content: Content, needs: Needs) -> bytes:
    body = await needs.contents.get(content.digest)
    if body is None:
        raise LookupError(NOT_THERE)
    return body


async def _changed(
    account: AccountId, decide: Callable[[Desk], list[DeskEvent]], context: Context, needs: Needs
) -> Accepted:
    """An editor sets a dozen things at once, and all of them are decided in one stream. Raises Conflict."""
    change = Change(DESK, desk_id(account), decide)
    async with needs.streams.turn(change.stream):  # other processes may still be faster
        for _ in range(PATIENCE):
            with suppress(Contended):
                return await needs.streams.transact(context, change)
        return await needs.streams.transact(context, change)


async def _setting(name: str, value: bytes, needs: Needs) -> Setting:
    """Raises ObjectTooLarge."""
    text = value.decode()
    if len(text) <= INLINE_CHARACTERS:
        return Setting(text)
    if len(value) > MAX_SETTING_BYTES:
        raise ObjectTooLarge(f"The setting {name[:100]} has more than {MAX_SETTING_BYTES} bytes.")
    return Setting(content=Content(await needs.contents.put(value), len(value)))


async def _value(setting: Setting, needs: Needs) -> bytes:
    return setting.text.encode() if setting.content is None else await kept_body(setting.content, needs)
