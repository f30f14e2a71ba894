"""An input: a file that an account has uploaded, to make others from it: a picture, sound, a film, a shape.

Uploaded again it is the same one.
"""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, Digest
from domain.refusals import NotFound


class InputStored(Event, frozen=True, kw_only=True, tag="input.stored.v1"):
    """`digest`: of the file as it is kept: a picture encoded anew. Sizes in bytes and, of a picture, in pixels."""

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
    media_type: str = ""
    deleted: bool = False


def evolve(input: InputPicture, event: InputEvent) -> InputPicture:
    match event:
        case InputStored(owner=owner, digest=digest, media_type=media_type):
            return InputPicture(owner=owner, digest=digest, media_type=media_type)
        case InputDeleted():
            return replace(input, deleted=True)


INPUT: Decider[InputPicture, InputEvent] = Decider(
    "input", InputPicture(), evolve, lambda input: input.owner, shape=2
)


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
