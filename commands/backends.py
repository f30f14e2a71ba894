"""What is seen of backends."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import backend
from domain.backend import BACKEND, BackendSeen
from domain.ids import backend_id


class SeeBackend(Command, frozen=True, kw_only=True):
    sight: BackendSeen


class LoseBackend(Command, frozen=True, kw_only=True):
    name: str
    reason: str


async def see_backend(command: SeeBackend, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(
            BACKEND, backend_id(command.sight.name), lambda state: backend.see(state, sight=command.sight)
        ),
    )


async def lose_backend(command: LoseBackend, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(BACKEND, backend_id(command.name), lambda state: backend.lose(state, reason=command.reason)),
    )
