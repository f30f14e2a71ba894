"""Inputs by the names that ComfyUI's clients give them: kept under a free one, found by the graphs that load them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from commands.inputs import StoreInput, store_input, stored_of
from commands.needs import Command, Needs
from commands.streams import Change, Context
from domain import input, input_name
from domain.file_name import INPUT as INPUT_TYPE
from domain.file_name import FileName, loaded, numbered
from domain.ids import AccountId, Digest, Position, StreamId, input_id, input_name_id
from domain.input import INPUT
from domain.input_name import INPUT_NAME, InputNamed, NameTaken
from domain.refusals import Conflict, FieldError, Invalid, NotAllowed, NotFound
from workflows.inputs import files, with_files

MAX_SAME = 1_000  # a name is looked at one after the other
TOO_MANY_SAME = "There are too many inputs of this name. Choose another one."
NO_FILE = "Invalid image file"


class StoreNamedInput(Command, frozen=True, kw_only=True):
    """`overwrite`: whether the name is taken from another picture; else the next free one is given."""

    name: FileName
    stored: StoreInput
    overwrite: bool = False


class NamedInput(Struct, frozen=True):
    """`position`: 0 when the picture had this name already."""

    name: FileName
    position: Position


class FileFault(Struct, frozen=True):
    """A node names a file that there is not."""

    node: str
    input: str
    name: str
    reason: str = NO_FILE


class InvalidFiles(Invalid):
    def __init__(self, files: tuple[FileFault, ...]) -> None:
        errors = (FieldError(f"graph.{each.node}.inputs.{each.input}", each.reason) for each in files[:20])
        super().__init__("A file that is to be loaded is not there.", *errors)
        self.files = files


class MadeFile(Struct, frozen=True):
    """A picture that a run has made. Sizes in pixels and bytes."""

    digest: Digest
    media_type: str
    size_bytes: int
    width: int
    height: int


Made: TypeAlias = Callable[[FileName], Awaitable[MadeFile | None]]
"""An account's output by its name."""


async def store_named_input(command: StoreNamedInput, context: Context, needs: Needs) -> NamedInput:
    """Raises Conflict."""
    for number in range(MAX_SAME):
        name = replace(command.name, filename=numbered(command.name.filename, number))
        try:
            return await _stored(name, command, context, needs)
        except NameTaken:
            continue
    raise Conflict(TOO_MANY_SAME)


async def named_input(name: FileName, by: AccountId, needs: Needs) -> Digest | None:
    """The picture that has this name."""
    state, _ = await needs.streams.load(INPUT_NAME, _id(by, name))
    return state.digest if await _kept(state.digest, by, needs) else None


async def resolve_files(
    graph: Mapping[str, Any], by: AccountId, context: Context, needs: Needs, made: Made
) -> dict[str, Any]:
    """The graph with the digests of the account's own pictures in the place of their names. Raises InvalidFiles.

    An output that is loaded becomes an input of its account: what a run needs is kept as long as it waits.
    """
    found: dict[str, str] = {}
    known: dict[str, Digest | None] = {}
    faults: list[FileFault] = []
    for node, (field, text) in files(graph).items():
        if text not in known:
            known[text] = await _found(text, by, context, needs, made)
        if (digest := known[text]) is None:
            faults.append(FileFault(node, field, text))
        else:
            found[node] = digest
    if faults:
        raise InvalidFiles(tuple(faults))
    return with_files(graph, found)


async def _found(text: str, by: AccountId, context: Context, needs: Needs, made: Made) -> Digest | None:
    try:
        name = loaded(text)
    except (Invalid, NotAllowed):
        return None
    if (digest := await named_input(name, by, needs)) is not None:
        return digest
    if name.type == INPUT_TYPE or (file := await made(name)) is None or not file.width:
        return None
    kept = StoreInput(
        by=by,
        digest=file.digest,
        name=name.filename,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        width=file.width,
        height=file.height,
    )
    await store_input(kept, context, needs)
    return file.digest


async def _stored(name: FileName, command: StoreNamedInput, context: Context, needs: Needs) -> NamedInput:
    """Raises NameTaken."""
    wish, id = command.stored, _id(command.stored.by, name)
    before, _ = await needs.streams.load(INPUT_NAME, id)
    if command.overwrite:
        instead_of = None
    else:
        instead_of = Digest("") if await _kept(before.digest, wish.by, needs) else before.digest
    named = InputNamed(
        owner=wish.by, type=name.type, subfolder=name.subfolder, filename=name.filename, digest=wish.digest
    )
    stored = stored_of(wish)
    accepted = await needs.streams.transact(
        context,
        Change(INPUT_NAME, id, lambda state: input_name.give(state, named=named, instead_of=instead_of)),
        Change(INPUT, input_id(wish.by, wish.digest), lambda state: input.store(state, stored=stored)),
    )
    return NamedInput(name, accepted.position)


async def _kept(digest: Digest, by: AccountId, needs: Needs) -> bool:
    if not digest:
        return False
    try:
        state, _ = await needs.streams.load(INPUT, input_id(by, digest))
        input.owned(state, by=by)
    except NotFound:
        return False
    return True


def _id(by: AccountId, name: FileName) -> StreamId:
    return input_name_id(by, name.type, name.subfolder, name.filename)
