"""Prompts: what clients of ComfyUI send to be executed, under names of their own."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commands.generating import submit
from commands.needs import Command, Needs
from commands.ports import ObjectTooLarge
from commands.sources import of_graph
from commands.streams import Accepted, Change, Context
from domain import run
from domain.ids import AccountId, Position, RunId, prompt_run
from domain.refusals import Conflict, FieldError, Invalid
from domain.run import RUN, RunSubmitted, source_of
from domain.source import PromptSource
from domain.workflow import Content

KEPT = "extra_pnginfo"
MAX_NAME = 200
USUAL, SOON, NEXT = 5, 8, 10  # priorities
FRONT = -1.0  # clients show what waits by its number
TAKEN = "This prompt_id was used for another prompt."


class SubmitPrompt(Command, frozen=True, kw_only=True):
    """`sent`: the graph as it came; `graph`: what of it is to be executed, with the account's files in it.

    `number`: lower ones are to run first; `front`, where there is none: before all others of the account. `extra`: as
    it came.
    """

    by: AccountId
    id: str
    client: str = ""
    sent: Mapping[str, Any]
    graph: Mapping[str, Any]
    number: float | None = None
    front: bool = False
    extra: Mapping[str, Any] = {}


class DismissRun(Command, frozen=True, kw_only=True):
    by: AccountId
    run: RunId


class Prompted(Struct, frozen=True):
    """`id`: as its client calls it. `number`: its place in the queue."""

    id: str
    run: RunId
    number: float
    position: Position


async def submit_prompt(command: SubmitPrompt, context: Context, needs: Needs) -> Prompted:
    """The same prompt under the same name is one run. Raises Invalid, ObjectTooLarge, Conflict: the name is taken."""
    for field, text in (("prompt_id", command.id), ("client_id", command.client)):
        if len(text) > MAX_NAME or "\0" in text:
            raise Invalid(
                "The prompt cannot be named so.", FieldError(field, f"At most {MAX_NAME} characters.")
            )
    id = prompt_run(command.by, command.id)
    sent = await _kept(command.sent, needs)
    if (before := await _before(id, sent, needs)) is not None:
        return before
    prepared = await of_graph(command.graph, command.by, needs)
    kept = {KEPT: command.extra[KEPT]} if command.extra.get(KEPT) else None
    source = PromptSource(
        id=command.id,
        client=command.client,
        sent=sent,
        number=FRONT if command.front and command.number is None else command.number,
        extra=await _kept(kept, needs) if kept else None,
    )
    wish = replace(prepared, source=source).submitted(needs, by=command.by, priority=_priority(command))
    try:
        submitted = await submit(wish, context, needs, id=id)
    except Conflict:
        if (before := await _before(id, sent, needs)) is not None:  # the same one, sent twice at once
            return before
        raise
    return _prompted(id, source, submitted.position)


async def dismiss_run(command: DismissRun, context: Context, needs: Needs) -> Accepted:
    """Clients of ComfyUI see it in their history no more. Raises NotFound."""
    return await needs.streams.transact(
        context, Change(RUN, command.run, lambda state: run.dismiss(state, by=command.by))
    )


async def _before(id: RunId, sent: Content, needs: Needs) -> Prompted | None:
    """What the same prompt came to. Raises Conflict where the name stands for another one."""
    recorded = await needs.streams.log.read(id)
    if not recorded or not isinstance(first := recorded[0].event, RunSubmitted):
        return None
    source = source_of(first)
    if not isinstance(source, PromptSource) or source.sent != sent:
        raise Conflict(TAKEN)
    return _prompted(id, source, recorded[0].position)


def _prompted(id: RunId, source: PromptSource, position: Position) -> Prompted:
    return Prompted(source.id, id, float(position) if source.number is None else source.number, position)


def _priority(command: SubmitPrompt) -> int:
    if command.number is None:
        return NEXT if command.front else USUAL
    return SOON if command.number < 0 else USUAL


async def _kept(document: Mapping[str, Any], needs: Needs) -> Content:
    """Raises ObjectTooLarge."""
    body = msgspec.json.encode(document)
    if len(body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"A prompt may have {needs.limits.graph_bytes} bytes at most.")
    return Content(await needs.contents.put(body), len(body))
