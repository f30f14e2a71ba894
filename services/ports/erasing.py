"""What it takes to remove what an erased account has left behind."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import (
    AccountId,
    CommentId,
    Digest,
    InputId,
    OutputId,
    Position,
    PresetId,
    RunId,
    StreamId,
    TemplateId,
    WorkflowId,
)


class Erased(Struct, frozen=True):
    """An erasure in the log. `with_published`: its published workflows, templates and presets go as well."""

    account: AccountId
    at: datetime
    position: Position
    with_published: bool


class ErasureLedger(Protocol):
    """Which erasures are not finished. Every method raises LogUnavailableError."""

    async def position(self) -> Position:
        """Up to where the log was looked through."""

    async def note(self, erased: Sequence[Erased], upto: Position) -> None:
        """Both or nothing; noting one again changes nothing."""

    async def unfinished(self) -> Sequence[Erased]: ...

    async def finished(self, account: AccountId) -> None: ...


class Belongings(Protocol):
    """What of an account is in the read models."""

    async def reached(self, position: Position) -> bool:
        """Whether they have taken in that position."""

    async def unfinished_runs(self, account: AccountId) -> Sequence[RunId]: ...

    async def workflows(self, account: AccountId, *, published: bool) -> Sequence[WorkflowId]:
        """Private ones, and published ones where they are asked for."""

    async def pictured(self, account: AccountId) -> Sequence[WorkflowId]:
        """Its workflows that are shown by a picture."""

    async def templates(self, account: AccountId, *, published: bool) -> Sequence[TemplateId]:
        """As `workflows`."""

    async def presets(self, account: AccountId, *, published: bool) -> Sequence[PresetId]:
        """As `workflows`."""

    async def inputs(self, account: AccountId) -> Sequence[InputId]: ...

    async def likes(self, account: AccountId) -> Sequence[WorkflowId]:
        """The workflows it likes."""

    async def comments(self, account: AccountId) -> Sequence[CommentId]:
        """Those it has written and not deleted."""

    async def follows(self, account: AccountId) -> Sequence[tuple[AccountId, AccountId]]:
        """Follower and followed, where it is either."""

    async def shares(self, account: AccountId) -> Sequence[StreamId]:
        """The links it has made and not revoked."""

    async def shown_outputs(self, account: AccountId) -> Sequence[OutputId]:
        """Those it shows: their files go, so that nobody is shown anything."""

    async def liked_outputs(self, account: AccountId) -> Sequence[OutputId]: ...

    async def collections(self, account: AccountId) -> Sequence[StreamId]: ...

    def objects(self, account: AccountId) -> AsyncIterator[Sequence[Digest]]:
        """Everything it has uploaded or its runs have stored, also in attempts that were lost, and nobody else needs.

        Another account needs what an output of one of its own runs, an input of its own, or the picture of one of
        its workflows refers to.
        """


class ErasedObjects(Protocol):
    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Whether it is gone. One that was stored since then is not: a run may be about to refer to it."""
