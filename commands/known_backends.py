"""What is known of the backends, of the gate before them, of models and pools: read from the log, true to a second."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from commands.backend_access import BackendAccess
from commands.ports import Clock, Contents
from commands.streams import Streams
from domain.backend import BACKEND, Backend, served
from domain.gate import GATE, GATE_ID, GateRules
from domain.ids import AccountId, Digest, backend_id, models_id, queue_id
from domain.model import MODELS, Models
from domain.queue import QUEUE, Queue
from domain.workflow import Requirements
from workflows.class_catalogue import Catalogue
from workflows.definitions import NodeDefinition, defined
from workflows.descriptions import Description, filled
from workflows.descriptions import read as read_description
from workflows.inventory import Inventory, read
from workflows.model_inputs import Loaders, agreed
from workflows.models import Restricted, based, restricted
from workflows.web_files import WebFiles
from workflows.web_files import read as read_web_files

FRESH = timedelta(seconds=1)
REMEMBERED = 4_000  # graphs that were let through
KEPT = 256  # inventories; a few hundred kilobytes each at most, and many backends have the same
DEFINED = 16  # definitions of all their nodes; a few megabytes each
CATALOGUES = 32  # of node classes; a megabyte or two each, and most accounts have the same
MAX_DESCRIBED = 1_000  # documents of one backend


class Known(Struct, frozen=True):
    """`inventory`: None while its executor has not told."""

    state: Backend
    inventory: Inventory | None

    def serves(self, account: AccountId, pool: str | None = None) -> bool:
        """Whether it takes such runs; None for `pool`: some of this account's."""
        mine = self.state.owner in (None, account)
        return mine and (pool is None or pool in served(self.state.pool, self.state.owner))


class Surroundings(Struct, frozen=True):
    """The backends, those that were seen or are registered, the rules of the gate, what is said of models, and pools.

    `based`: what administrators say that models were made from, by `type/name`, the name as `plain` has it. `loaders`:
    what shared backends tell of their nodes. `number`: of this view.
    """

    backends: tuple[Known, ...]
    rules: GateRules
    models: Models
    restricted: Restricted
    queue: Queue
    based: Mapping[str, str]
    loaders: Loaders
    number: int


def believed(backends: Iterable[Known]) -> list[Known]:
    """Where they differ, whoever comes first is believed: shared and live ones."""
    return sorted(
        backends, key=lambda each: (each.state.owner is not None, not each.state.live, each.state.name)
    )


def loaders(backends: Iterable[Known]) -> Loaders:
    return agreed(each.inventory.loaders for each in backends if each.inventory is not None)


class KnownBackends:
    def __init__(self, streams: Streams, contents: Contents, access: BackendAccess, now: Clock) -> None:
        self._streams = streams
        self._contents = contents
        self._access = access
        self._now = now
        self._view = Surroundings((), GateRules(), Models(), {}, Queue(), {}, {}, 0)
        self._looked_at: datetime | None = None
        self._inventories: OrderedDict[Digest, Inventory] = OrderedDict()
        self._definitions: OrderedDict[Digest, dict[str, NodeDefinition]] = OrderedDict()
        self._catalogues: OrderedDict[Hashable, Catalogue] = OrderedDict()
        self._web_files: OrderedDict[Digest, WebFiles] = OrderedDict()
        self._looking: asyncio.Lock | None = None
        self._passed: OrderedDict[tuple[Digest, AccountId, str], tuple[int, Requirements]] = OrderedDict()

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
                models, _ = await self._streams.load(MODELS, models_id())
                queue, _ = await self._streams.load(QUEUE, queue_id())
                among = restricted(models.known.values())
                shared = [each for each in backends if each.state.owner is None]
                told = (based(models.known.values()), loaders(shared))
                seen = Surroundings(backends, gate.rules, models, among, queue, *told, self._view.number)
                if seen != self._view:
                    self._view = replace(seen, number=seen.number + 1)
                self._looked_at = began
        return self._view

    async def definitions(self, known: Known) -> dict[str, NodeDefinition]:
        """What a backend's node classes take and give; empty where it has not told."""
        if known.inventory is None or known.state.inventory is None:
            return {}
        digest = known.state.inventory.digest
        if digest not in self._definitions:
            found = await self.descriptions(known)
            self._definitions[digest] = await asyncio.to_thread(_defined, found, known.inventory)
            while len(self._definitions) > DEFINED:
                self._definitions.popitem(last=False)
        return self._definitions[digest]

    async def descriptions(self, known: Known) -> list[Description]:
        """What a backend's node classes tell of themselves, without the files that they offer."""
        names = known.inventory.described[:MAX_DESCRIBED] if known.inventory is not None else ()
        bodies = [await self._contents.get(name) for name in names]
        return [await asyncio.to_thread(read_description, body) for body in bodies if body is not None]

    def catalogue(self, key: Hashable) -> Catalogue | None:
        """One that was put together before."""
        return self._catalogues.get(key)

    def keep(self, key: Hashable, catalogue: Catalogue) -> None:
        self._catalogues[key] = catalogue
        while len(self._catalogues) > CATALOGUES:
            self._catalogues.popitem(last=False)

    async def web_files(self, known: Known) -> WebFiles:
        """What a backend's custom nodes bring for the editor."""
        digest = known.inventory.web_files if known.inventory is not None else None
        if digest is None:
            return {}
        if digest not in self._web_files:
            body = await self._contents.get(digest)
            self._web_files[digest] = {} if body is None else read_web_files(body)
            while len(self._web_files) > KEPT:
                self._web_files.popitem(last=False)
        return self._web_files[digest]

    def look_again(self) -> None:
        """Something was changed here: it counts at once."""
        self._looked_at = None

    def passed(self, graph: Digest, owner: AccountId, pool: str, view: Surroundings) -> Requirements | None:
        """What a graph needs that was let through as things stand."""
        number, needed = self._passed.get((graph, owner, pool), (None, None))
        return needed if number == view.number else None

    def remember(
        self, graph: Digest, owner: AccountId, pool: str, view: Surroundings, needed: Requirements
    ) -> None:
        self._passed[graph, owner, pool] = (view.number, needed)
        self._passed.move_to_end((graph, owner, pool))
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


def _defined(told: Iterable[Description], inventory: Inventory) -> dict[str, NodeDefinition]:
    return {
        name: each for document in told for name, each in defined(filled(document, inventory.models)).items()
    }
