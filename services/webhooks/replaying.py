"""Ranges of the log, sent once more to an endpoint that asked for them."""

import asyncio
import logging
from collections.abc import Callable

from commands.ports import LogUnavailableError
from commands.webhook_state import Replay
from domain import webhook
from domain.catalogue import CATALOGUE, Catalogue
from domain.ids import Position
from domain.public import public
from domain.public_events import FOR_EVERYBODY
from services.following import recorded_of
from services.ports.delivering import Endpoint, Ledger, Made
from services.ports.relaying import LogTail
from services.telling import public_type
from services.webhooks.reacting import made

logger = logging.getLogger(__name__)

PAGE = 1000  # positions
POLL_S = 1.0
PAUSE_S = 5.0  # after something has failed


class Replaying:
    """Runs until it is cancelled. A page is stored together with the progress, whoever does it."""

    def __init__(
        self, ledger: Ledger, tail: LogTail, wake: Callable[[], None], catalogue: Catalogue = CATALOGUE
    ) -> None:
        self._ledger = ledger
        self._tail = tail
        self._wake = wake
        self._catalogue = catalogue

    async def run(self) -> None:
        while True:
            pause_s = POLL_S
            try:
                if await self.step():
                    pause_s = 0.0
            except LogUnavailableError as error:
                logger.warning("replays of webhooks wait", extra={"reason": str(error)})
            except Exception:  # the outermost loop
                logger.exception("a replay of a webhook failed")
                pause_s = PAUSE_S
            await asyncio.sleep(pause_s)

    async def step(self) -> bool:
        """One page of each open replay; whether there was one."""
        replays = await self._ledger.open_replays()
        for replay, endpoint in replays:
            upto = Position(min(replay.after + PAGE, replay.until))
            found = await self._wanted(replay, endpoint, upto) if upto > replay.after else []
            await self._ledger.replayed(replay, found, upto)
            if found:
                self._wake()
        return bool(replays)

    async def _wanted(self, replay: Replay, endpoint: Endpoint, upto: Position) -> list[Made]:
        rows = await self._tail.rows(replay.after, upto - replay.after)
        found: list[Made] = []
        for row in rows:
            own = row.owner == endpoint.state.owner
            if not (own or endpoint.state.everybody):
                continue
            recorded = recorded_of(row, self._catalogue)
            event = public(recorded)
            if event is None or not (own or isinstance(event, FOR_EVERYBODY)):
                continue
            type_name = public_type(type(event))
            if webhook.wants(endpoint.state, type_name, own=own) and webhook.named(replay.types, type_name):
                found.append(made(endpoint.id, recorded, event))
        return found
