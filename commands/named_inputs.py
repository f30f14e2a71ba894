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
from workflows.inputs import Place, files, with_files

MAX_SAME = 1_000  # a name is looked at one after the other
TOO_MANY_SAME = "There are too many inputs of this name. Choose another one."
NO_FILE = {
    "image/": "Invalid image file",
    "audio/": "Invalid audio file",
    "video/": "Invalid video file",
    "model/": "Invalid model file",
}


class StoreNamedInput(Command, frozen=True, kw_only=True):
    """`overwrite`: whether the name is taken from another picture; else the next free one is given."""

    name: FileName
    stored: StoreInput
    overwrite: bool = False


class NamedInput(Struct, frozen=True):
    """`position`: 0 when the picture had this name already."""

    name: FileName
    position: Position


class FoundFile(Struct, frozen=True):
    digest: Digest
    media_type: str


class FileFault(Struct, frozen=True):
    """A node names a file that there is not, or that it does not load."""

    node: str
    input: str
    name: str
    reason: str


class InvalidFiles(Invalid):
    def __init__(self, files: tuple[FileFault, ...]) -> None:
        errors = (FieldError(f"graph.{each.node}.inputs.{each.input}", each.reason) for each in files[:20])
        super().__init__("A file that is to be loaded is not there.", *errors)
        self.files = files


class MadeFile(Struct, frozen=True):
    """A file that a run has made. Sizes in pixels and bytes."""

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


async def named_input(name: FileName, by: AccountId, needs: Needs) -> FoundFile | None:
    """The file that has this name."""
    state, _ = await needs.streams.load(INPUT_NAME, _id(by, name))
    return await _kept(state.digest, by, needs)


async def resolve_files(
    graph: Mapping[str, Any], by: AccountId, context: Context, needs: Needs, made: Made
) -> dict[str, Any]:
    """The graph with the digests of the account's own files in the place of their names. Raises InvalidFiles.

    An output that is loaded becomes an input of its account: what a run needs is kept as long as it waits.
    """
    found: dict[Place, str] = {}
    known: dict[str, FoundFile | None] = {}
    faults: list[FileFault] = []
    for place, (text, kinds) in files(graph).items():
        if text not in known:
            known[text] = await _found(text, by, context, needs, made)
        file = known[text]
        if file is None or not file.media_type.startswith(kinds):
            faults.append(FileFault(place.node, place.input, text, NO_FILE[kinds[0]]))
        else:
            found[place] = file.digest
    if faults:
        raise InvalidFiles(tuple(faults))
    return with_files(graph, found)


async def _found(text: str, by: AccountId, context: Context, needs: Needs, made: Made) -> FoundFile | None:
    try:
        name = loaded(text)
    except (Invalid, NotAllowed):
        return None
    if (known := await named_input(name, by, needs)) is not None:
        return known
    if name.type == INPUT_TYPE or (file := await made(name)) is None:
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
    return FoundFile(file.digest, file.media_type)


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


async def _kept(digest: Digest, by: AccountId, needs: Needs) -> FoundFile | None:
    if not digest:
        return None
    try:
        state, _ = await needs.streams.load(INPUT, input_id(by, digest))
        input.owned(state, by=by)
    except NotFound:
        return None
    return FoundFile(digest, state.media_type)


def _id(by: AccountId, name: FileName) -> StreamId:
    return input_name_id(by, name.type, name.subfolder, name.filename)
