"""Who may follow events over NATS, and what of them: a key's connections, consumers and filters."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from commands.api_keys import KeyHolder, holder, still_good
from commands.needs import Needs
from commands.ports import LogUnavailableError
from domain.api_key import Scope
from domain.ids import AccountId, ApiKeyId
from services.ports.integrating import Connections, Consumers, Grant, NatsAwayError

logger = logging.getLogger(__name__)

CONSUMERS = 4  # of one key
MAX_CONNECTIONS = 16  # of one key, at once
LOOK_S = 1.0  # a key that was revoked is let go of this soon, and what NATS and Postgres take
SWEEP_EVERY = 30  # looks
EVERYTHING = "events.>"
PUBLIC = "events.*.public.>"

Handle = Callable[[ApiKeyId], str]
"""What a key's consumers and inboxes are called. It must not be guessed: it is all that keeps others off them."""


def own(account: AccountId) -> str:
    return f"events.{account}.>"


def granted(key: KeyHolder, handle: Handle) -> Grant | None:
    """None for a key that may not follow events."""
    if Scope.ALL_EVENTS in key.scopes:
        filters: tuple[str, ...] = (EVERYTHING, own(key.account), PUBLIC)
    elif Scope.EVENTS in key.scopes:
        filters = (own(key.account), PUBLIC)
    else:
        return None
    name = handle(key.key)
    consumers = tuple(f"{name}-{number}" for number in range(1, CONSUMERS + 1))
    return Grant(key=key.key, inbox=f"_INBOX_{name}", consumers=consumers, filters=filters)


class Doorkeeper:
    """Lets programs in by their keys, and out when a key is no longer good."""

    def __init__(self, needs: Needs, handle: Handle) -> None:
        self._needs = needs
        self._handle = handle

    async def log_in(self, text: str) -> Grant | None:
        key = await holder(text, self._needs)
        return None if key is None else granted(key, self._handle)

    async def asked(self, consumer: str) -> Grant | None:
        """The grant of the key that a consumer's name belongs to."""
        id = self._key_of(consumer)
        rows = await still_good([id], self._needs) if id else ()
        for row in rows:
            grant = granted(KeyHolder(row.key, row.account, row.scopes), self._handle)
            if grant is not None and consumer in grant.consumers:
                return grant
        return None

    async def watch(self, connections: Connections, consumers: Consumers) -> None:
        """Until cancelled: end what a key that is gone has opened, and what exceeds its share."""
        looks = 0
        while True:
            try:
                await self._look(connections)
                if looks % SWEEP_EVERY == 0:
                    await self._sweep(consumers)
                looks += 1
            except (NatsAwayError, LogUnavailableError) as error:
                logger.info("integrators cannot be watched", extra={"reason": str(error)})
            except Exception:  # the outermost loop: the next look may succeed
                logger.exception("integrators were not watched")
            await asyncio.sleep(LOOK_S)

    async def _look(self, connections: Connections) -> None:
        opened = await connections.open()
        if not opened:
            return
        ids = {each.key for each in opened if each.key is not None}
        good = {row.key for row in await still_good(list(ids), self._needs)}
        numbers: defaultdict[ApiKeyId | None, int] = defaultdict(int)
        for each in sorted(opened, key=lambda connected: connected.number):
            numbers[each.key] += 1
            if each.key not in good or numbers[each.key] > MAX_CONNECTIONS:
                logger.info("integrator disconnected", extra={"key": each.key})
                await connections.kick(each)

    async def _sweep(self, consumers: Consumers) -> None:
        """A consumer outlives its connections, but not its key."""
        names = await consumers.names()
        ids = {name: self._key_of(name) for name in names}
        wanted = [id for id in ids.values() if id is not None]
        good = {row.key for row in await still_good(wanted, self._needs)} if wanted else set()
        for name, id in ids.items():
            if id not in good:
                await consumers.delete(name)

    def _key_of(self, consumer: str) -> ApiKeyId | None:
        try:
            id = ApiKeyId(UUID(hex=consumer[:32]))
        except ValueError:
            return None
        return id if consumer.rpartition("-")[0] == self._handle(id) else None
