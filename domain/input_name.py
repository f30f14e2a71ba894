"""Under which name one of ComfyUI's clients has uploaded an input: that is how its graphs load it.

One picture may have many names. A name whose picture was deleted stands for nothing, and may be given again.
"""

from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import AccountId, Digest
from domain.refusals import Conflict


class InputNamed(Event, frozen=True, kw_only=True, tag="input_name.given.v1"):
    """The name stands for this picture from now on. `type`: of ComfyUI's folders, the one it was sent to."""

    owner: AccountId
    type: str
    subfolder: str
    filename: str
    digest: Digest


InputNameEvent: TypeAlias = InputNamed


class InputName(Struct, frozen=True):
    owner: AccountId | None = None
    digest: Digest = Digest("")


class NameTaken(Conflict):
    """Another picture has this name."""


def evolve(name: InputName, event: InputNameEvent) -> InputName:
    return InputName(event.owner, event.digest)


INPUT_NAME: Decider[InputName, InputNameEvent] = Decider(
    "input_name", InputName(), evolve, lambda name: name.owner
)


def give(name: InputName, *, named: InputNamed, instead_of: Digest | None) -> list[InputNameEvent]:
    """Let a picture have this name, in the place of the one it may replace; None: of any."""
    if name.digest == named.digest:
        return []
    if name.digest and instead_of not in (None, name.digest):
        raise NameTaken("Another picture has this name.")
    return [named]
