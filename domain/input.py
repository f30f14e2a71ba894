"""An input: a picture that an account has uploaded, to make others from it. Uploaded again it is the same one."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, Digest
from domain.refusals import NotFound


class InputStored(Event, frozen=True, kw_only=True, tag="input.stored.v1"):
    """`digest`: of the picture as it is kept, encoded anew. Sizes in pixels and bytes."""

    owner: AccountId
    digest: Digest
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int


class InputDeleted(Event, frozen=True, kw_only=True, tag="input.deleted.v1"):
    digest: Digest


InputEvent: TypeAlias = InputStored | InputDeleted


class InputPicture(Struct, frozen=True):
    owner: AccountId | None = None
    digest: Digest = Digest("")
    deleted: bool = False


def evolve(input: InputPicture, event: InputEvent) -> InputPicture:
    match event:
        case InputStored(owner=owner, digest=digest):
            return InputPicture(owner=owner, digest=digest)
        case InputDeleted():
            return replace(input, deleted=True)


INPUT: Decider[InputPicture, InputEvent] = Decider("input", InputPicture(), evolve, lambda input: input.owner)


def store(input: InputPicture, *, stored: InputStored) -> list[InputEvent]:
    """Keep a picture. One that is there already stays as it is, under the name it has."""
    return [] if input.owner is not None and not input.deleted else [stored]


def delete(input: InputPicture, *, by: AccountId) -> list[InputEvent]:
    """Its owner wants it no more. Runs that wait for it still get it. Asking twice is not an error."""
    if input.owner == by and input.deleted:
        return []
    owned(input, by=by)
    return [InputDeleted(digest=input.digest)]


def owned(input: InputPicture, *, by: AccountId) -> None:
    """Raises NotFound: a stranger must not learn which ids exist."""
    if input.owner != by or input.deleted:
        raise NotFound("There is no such input.")
