"""What administrators wish of read models."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import projection
from domain.ids import Position, projection_id
from domain.projection import PROJECTION


class SkipEvent(Command, frozen=True, kw_only=True):
    """That the event is parked there, and by which fault, is known by the caller."""

    projection: str
    position: Position
    reason: str
    fault: str


class WithdrawSkip(Command, frozen=True, kw_only=True):
    projection: str
    position: Position
    reason: str


async def skip_event(command: SkipEvent, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused."""
    return await needs.streams.transact(
        context,
        Change(
            PROJECTION,
            projection_id(command.projection),
            lambda state: projection.skip(
                state,
                projection=command.projection,
                position=command.position,
                reason=command.reason,
                fault=command.fault,
            ),
        ),
    )


async def withdraw_skip(command: WithdrawSkip, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused."""
    return await needs.streams.transact(
        context,
        Change(
            PROJECTION,
            projection_id(command.projection),
            lambda state: projection.withdraw_skip(
                state,
                projection=command.projection,
                position=command.position,
                reason=command.reason,
            ),
        ),
    )
