"""What the log tells outsiders, read from the log itself."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, Position


class ToldPage(Struct, frozen=True):
    """`upto`: the last position that was looked at; what is told begins behind it. `head`: the log's last one."""

    events: Sequence[AnyRecorded]
    upto: Position
    head: Position


class PublicLog(Protocol):
    async def identity(self) -> UUID: ...

    async def page(self, after: Position, limit: int, account: AccountId | None) -> ToldPage:
        """What concerns outsiders, in order: an account's own and what everybody is told; None: all accounts'.

        Raises LogUnavailableError.
        """
