"""What an editor remembers of how its user wants it, and who that is."""

from typing import Any

from msgspec import Raw

from adapters.http.gateway.call import DONE, Answer, Call, json, raw_json, read
from commands.desk import MAX_SETTING_BYTES, SetSettings, settings_of


async def users(call: Call) -> Answer:
    """There is nobody else: who asks is known by how they are logged in."""
    return json({"storage": "server", "migrated": True})


async def settings(call: Call) -> Answer:
    found = await settings_of(call.caller.account, call.parts.commands.needs)
    return json({name: Raw(value) for name, value in found.items()})


async def setting(call: Call) -> Answer:
    """Null where it was never set."""
    found = await settings_of(call.caller.account, call.parts.commands.needs)
    return raw_json(found.get(call.names["id"], b"null"))


async def set_settings(call: Call) -> Answer:
    body = await call.body()
    read(body, dict[str, Any])  # each value is JSON as well
    return await _set(call, {name: bytes(value) for name, value in read(body, dict[str, Raw]).items()})


async def set_setting(call: Call) -> Answer:
    body = await call.body(MAX_SETTING_BYTES)
    read(body, Any)
    return await _set(call, {call.names["id"]: body.strip()})


async def _set(call: Call, values: dict[str, bytes]) -> Answer:
    await call.parts.commands.run(SetSettings(by=call.caller.account, values=values), call.context())
    return DONE
