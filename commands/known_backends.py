"""What is known of the backends and of the gate before them: read from the log, true to a second."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from msgspec import Struct

from commands.backend_access import BackendAccess
from commands.ports import Clock, Contents
from commands.streams import Streams
from domain.backend import BACKEND, Backend
from domain.gate import GATE, GATE_ID, GateRules
from domain.ids import AccountId, Digest, backend_id
from workflows.inventory import Inventory, read

FRESH = timedelta(seconds=1)
REMEMBERED = 4_000  # graphs that were let through
KEPT = 256  # inventories; a few hundred kilobytes each at most, and many backends have the same


class Known(Struct, frozen=True):
    """`inventory`: None while its executor has not told."""

    state: Backend
    inventory: Inventory | None

    def serves(self, account: AccountId) -> bool:
        return self.state.owner in (None, account)


class Surroundings(Struct, frozen=True):
    """The backends, those that were seen or are registered, and the rules of the gate. `number`: of this view."""

    backends: tuple[Known, ...]
    rules: GateRules
    number: int


class KnownBackends:
    def __init__(self, streams: Streams, contents: Contents, access: BackendAccess, now: Clock) -> None:
        self._streams = streams
        self._contents = contents
        self._access = access
        self._now = now
        self._view = Surroundings((), GateRules(), 0)
        self._looked_at: datetime | None = None
        self._inventories: OrderedDict[Digest, Inventory] = OrderedDict()
        self._looking: asyncio.Lock | None = None
        self._passed: OrderedDict[tuple[Digest, AccountId], int] = OrderedDict()

    async def now(self) -> Surroundings:
        """Raises LogUnavailableError."""
        if self._fresh():
            return self._view
        if self._looking is None:
            self._looking = asyncio.Lock()  # it belongs to the loop that asks
        async with self._looking:
            if not self._fresh():
                began = self._now()
                backends = tuple([each async for each in self._look()])
                gate, _ = await self._streams.load(GATE, GATE_ID)
                if (backends, gate.rules) != (self._view.backends, self._view.rules):
                    self._view = Surroundings(backends, gate.rules, self._view.number + 1)
                self._looked_at = began
        return self._view

    def look_again(self) -> None:
        """Something was changed here: it counts at once."""
        self._looked_at = None

    def passed(self, graph: Digest, owner: AccountId, view: Surroundings) -> bool:
        """Whether a graph was let through as things stand."""
        return self._passed.get((graph, owner)) == view.number

    def remember(self, graph: Digest, owner: AccountId, view: Surroundings) -> None:
        self._passed[graph, owner] = view.number
        self._passed.move_to_end((graph, owner))
        while len(self._passed) > REMEMBERED:
            self._passed.popitem(last=False)

    def _fresh(self) -> bool:
        return self._looked_at is not None and timedelta(0) <= self._now() - self._looked_at < FRESH

    async def _look(self) -> AsyncIterator[Known]:
        for name in await self._access.names():
            state, _ = await self._streams.load(BACKEND, backend_id(name))
            if state.known:
                yield Known(state, await self._inventory(state))

    async def _inventory(self, state: Backend) -> Inventory | None:
        if state.inventory is None:
            return None
        digest = state.inventory.digest
        if digest not in self._inventories:
            body = await self._contents.get(digest)
            if body is None:
                return None
            self._inventories[digest] = read(body)
            while len(self._inventories) > KEPT:
                self._inventories.popitem(last=False)
        return self._inventories[digest]
