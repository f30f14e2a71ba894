"""Files that accounts have uploaded: kept, deleted, and found again by the graphs that load them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import input
from domain.ids import AccountId, Digest, InputId, input_id
from domain.input import INPUT, InputPicture, InputStored
from domain.refusals import FieldError, Invalid, NotFound
from domain.workflow import Content
from workflows.inputs import Place, is_digest, named, others, resolved
from workflows.media import PICTURE, ending_of

UNKNOWN = "You have no such input. Upload it first: POST /api/v1/inputs."
NOT_YOURS = "This is not for graphs to load. Upload it as an input of your own."
OTHER_KIND = "This node loads files of another kind."
MAX_NAME = 200
MAX_INPUTS = 64  # of one run


class StoreInput(Command, frozen=True, kw_only=True):
    """Its bytes are in the object store."""

    by: AccountId
    digest: Digest
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int


class DeleteInput(Command, frozen=True, kw_only=True):
    by: AccountId
    input: InputId


class StoredInput(Struct, frozen=True):
    id: InputId
    digest: Digest


async def store_input(command: StoreInput, context: Context, needs: Needs) -> Accepted:
    """Raises KeyReused."""
    stored = stored_of(command)
    id = input_id(command.by, command.digest)
    return await needs.streams.transact(
        context, Change(INPUT, id, lambda state: input.store(state, stored=stored))
    )


def stored_of(command: StoreInput) -> InputStored:
    return InputStored(
        owner=command.by,
        digest=command.digest,
        name="".join(letter for letter in command.name if letter.isprintable())[-MAX_NAME:] or "input",
        media_type=command.media_type,
        size_bytes=command.size_bytes,
        width=command.width,
        height=command.height,
    )


async def delete_input(command: DeleteInput, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    return await needs.streams.transact(
        context, Change(INPUT, command.input, lambda state: input.delete(state, by=command.by))
    )


async def resolve(
    graph: Mapping[str, Any], by: AccountId, needs: Needs, *, at: str = "graph.{node}.inputs.{input}"
) -> tuple[dict[str, Any], tuple[Digest, ...]]:
    """The graph with the account's own inputs in it by their digests, and those. Raises Invalid for all others."""
    found: dict[Place, Digest] = {}
    endings: dict[Digest, str] = {}
    known: dict[str, InputPicture | None] = {}
    errors = [FieldError(at.format(node=node, input="image"), NOT_YOURS) for node in others(graph)]
    for place, (name, kinds) in named(graph).items():
        if name not in known and len(known) < MAX_INPUTS:
            known[name] = await _kept(name, by, needs)
        kept = known.get(name)
        if kept is None:
            errors.append(FieldError(at.format(node=place.node, input=place.input), UNKNOWN))
        elif not kept.media_type.startswith(kinds):
            errors.append(FieldError(at.format(node=place.node, input=place.input), OTHER_KIND))
        else:
            found[place] = kept.digest
            if (ending := ending_of(kept.media_type)) != PICTURE:
                endings[kept.digest] = ending
    if errors:
        raise Invalid("An input that is to be loaded is not there.", *errors[:20])
    return resolved(graph, found, endings), tuple(sorted(set(found.values())))


async def with_inputs(graph: Content, by: AccountId, needs: Needs) -> tuple[Content, tuple[Digest, ...]]:
    """A stored graph as it is to be executed, and the inputs that it loads. Raises Invalid."""
    body = await needs.contents.get(graph.digest)
    if body is None:
        raise LookupError(f"The graph {graph.digest} is not among the contents.")
    found, inputs = await resolve(msgspec.json.decode(body), by, needs)
    if not inputs:
        return graph, ()
    body = msgspec.json.encode(found)
    return Content(await needs.contents.put(body), len(body)), inputs


async def owned_still(digests: tuple[Digest, ...], by: AccountId, needs: Needs) -> None:
    """Raises Invalid."""
    for digest in digests:
        if await _kept(digest, by, needs) is None:
            raise Invalid("An input of this run was deleted.", FieldError("run", UNKNOWN))


async def _kept(name: str, by: AccountId, needs: Needs) -> InputPicture | None:
    id = input_id(by, Digest(name)) if is_digest(name) else _id(name)
    if id is None:
        return None
    try:
        state, _ = await needs.streams.load(INPUT, id)
        input.owned(state, by=by)
    except NotFound:
        return None
    return state


def _id(name: str) -> InputId | None:
    try:
        return InputId(UUID(name))
    except ValueError:
        return None
