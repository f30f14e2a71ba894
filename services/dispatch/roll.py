"""Which backends there are, who drives each of them, and what they have: as the log tells, looked at every second.

A registered backend is driven by the executor that it names, or else by whoever asked for it first, for as long as
that one goes on asking. An executor that belongs to an account drives this account's backend only.
"""

import asyncio
import logging
import zlib
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commands.backend_access import Access
from commands.backends import LoseBackend, SeeBackend, TakeStock
from commands.dispatcher import Dispatcher
from commands.streams import Context
from domain.backend import BACKEND, OWN, Backend, BackendInventoried, BackendSeen, bound_to, own_name, served
from domain.gate import GATE, GATE_ID
from domain.ids import AccountId, backend_id
from domain.workflow import Content
from services.ports.dispatching import RunQueue, TooEarlyError
from services.ports.enrolling import BackendTable
from services.ports.messages import BackendOrder, BackendState, ClaimRequest, Part, Stock
from workflows import descriptions, web_files
from workflows.gate import let_through
from workflows.inventory import NODE, TAKES_LORAS, Inventory, digest, models_named, read, written

logger = logging.getLogger(__name__)

FRESH_S = 1.0
MAX_INVENTORY_BYTES = (
    16 << 20
)  # a list of a hundred thousand models; as much of what nodes tell of themselves
MAX_DOCUMENTS = 1_000
MAX_WORD, MAX_REASON = 100, 500
MADE = 2  # one more when other things are made of the same inventory: then all are made anew
CHECKPOINTS, LORAS = "checkpoints", "loras"


class Registered(Struct, frozen=True):
    state: Backend
    access: Access


class UnusableError(Exception):
    """What an executor sent cannot be what it is said to be."""


class Roll:
    def __init__(
        self, queue: RunQueue, table: BackendTable, dispatcher: Dispatcher, *, fresh_s: float = FRESH_S
    ) -> None:
        self._queue = queue
        self._table = table
        self._dispatcher = dispatcher
        self._fresh_s = fresh_s
        self._states: Mapping[str, Backend] = {}
        self._registered: Mapping[str, Registered] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def orders(self, executor: str, until: datetime) -> tuple[BackendOrder, ...]:
        """What this executor is to drive."""
        await self._look()
        found = []
        for name, known in self._registered.items():
            state = known.state
            if state.access is None or not _eligible(executor, state):
                continue
            if not await self._table.assign(name, executor, until):
                continue  # somebody else drives it
            order = BackendOrder(
                name=name,
                access=state.access,
                url=known.access.url,
                header=known.access.header,
                value=known.access.value,
                slots=state.slots,
                guarded=state.owner is not None and bound_to(executor) is None,
                kind=state.kind,
            )
            found.append(order)
        return tuple(found)

    async def seen(self, executor: str, state: BackendState, until: datetime, context: Context) -> None:
        """Note what an executor sees of a backend, if it is this executor's to see."""
        if not await self._drives(executor, state.name, state.access):
            logger.warning("not this executor's", extra={"backend": state.name, "executor": executor})
            return
        await self._queue.see_backend(state.name, executor, state.sight is not None, until)
        wish = LoseBackend(name=state.name, reason=state.reason[:MAX_REASON])
        if state.sight is None:
            await self._dispatcher.run(wish, context)
        else:
            sight = BackendSeen(
                name=state.name,
                executor=executor,
                comfyui_version=state.sight.comfyui_version[:MAX_WORD],
                device=state.sight.device[:MAX_WORD],
            )
            await self._dispatcher.run(SeeBackend(sight=sight, access=state.access), context)

    async def stocked(self, executor: str, stock: Stock, context: Context) -> None:
        """Note what a backend has, if it is this executor's to tell. Raises UnusableError.

        It is told once: what comes before the first beat that has seen the backend raises TooEarlyError, and an order
        that another process has just given is looked for in the log.
        """
        if not await self._drives(executor, stock.backend, stock.access):
            self._looked_at = float("-inf")
        if not await self._drives(executor, stock.backend, stock.access):
            logger.warning("not this executor's", extra={"backend": stock.backend, "executor": executor})
            return
        if not (await self._dispatcher.needs.streams.load(BACKEND, backend_id(stock.backend)))[0].known:
            raise TooEarlyError(f"No beat has told of {stock.backend} yet.")
        shared = self._is_shared(executor, stock.backend)
        if stock.part is not Part.INVENTORY:
            body = await asyncio.to_thread(_document, stock.packed, stock.part)
            if shared or stock.part is Part.CLASSES:
                await self._dispatcher.needs.contents.put(body)
            return
        inventory = _inventory(stock.packed)
        if not shared:
            inventory = replace(inventory, web_files=None)
        for named in (*inventory.described[:MAX_DOCUMENTS], inventory.web_files):
            if named is not None and await self._dispatcher.needs.contents.get(named) is None:
                raise UnusableError("the inventory names a document that is not there")
        body = written(inventory)
        await self._dispatcher.needs.contents.put(body)
        event = _inventoried(stock.backend, inventory, Content(digest(body), len(body)))
        await self._dispatcher.run(TakeStock(stock=event), context)
        self._looked_at = float("-inf")
        await self._look()

    async def claiming(self, executor: str, name: str) -> ClaimRequest | None:
        """What this executor may claim for a backend; None: nothing new is to go there."""
        await self._look()
        state = self._states.get(name, Backend())
        if state.draining or not await self._drives(executor, name, state.access):
            return None
        owner = state.owner if state.registered else bound_to(executor)
        return ClaimRequest(executor=executor, backend=name, pools=served(state.pool, owner), only=owner)

    def _is_shared(self, executor: str, name: str) -> bool:
        """Whether what it brings is for everybody: scripts of one account's backend are shown to nobody."""
        state = self._states.get(name, Backend())
        return bound_to(executor) is None and state.owner is None

    async def _drives(self, executor: str, name: str, access: UUID | None) -> bool:
        await self._look()
        state = self._states.get(name)
        if state is not None and state.registered:
            return access == state.access and _eligible(executor, state)
        owner = bound_to(executor)
        return access is None and (owner is None or name == own_name(owner)) and _free(name, owner)

    async def _look(self) -> None:
        """Read the log anew when what is known is old."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._looked_at < self._fresh_s:
            return
        async with self._looking:
            if loop.time() - self._looked_at < self._fresh_s:
                return
            began = loop.time()
            await self._read()
            self._looked_at = began

    async def _read(self) -> None:
        needs = self._dispatcher.needs
        names = await needs.backend_access.names()
        states = {name: (await needs.streams.load(BACKEND, backend_id(name)))[0] for name in names}
        opened = await needs.backend_access.opened([s.access for s in states.values() if s.access])
        self._registered = {
            name: Registered(state, opened[state.access])
            for name, state in states.items()
            if state.access is not None and state.access in opened
        }
        self._states = states
        await self._restock(states)

    async def _restock(self, states: Mapping[str, Backend]) -> None:
        """What each backend can do follows from what it has and from what the gate lets through."""
        needs = self._dispatcher.needs
        gate, _ = await needs.streams.load(GATE, GATE_ID)
        rules = sha256(msgspec.json.encode(gate.rules)).hexdigest()[:16]
        known = await self._table.stocks()
        for name, state in states.items():
            if state.inventory is None or name not in known:
                continue
            stock = f"{state.inventory.digest}:{rules}:{MADE}"
            if known[name] == stock or (body := await needs.contents.get(state.inventory.digest)) is None:
                continue
            inventory = read(body)
            usable = [
                f"{NODE}{node_class}"
                for node_class, module in inventory.node_classes.items()
                if let_through(node_class, module, gate.rules)
            ]
            takes = [TAKES_LORAS] if inventory.takes_loras else []
            await self._table.take_stock(name, stock, [*usable, *models_named(inventory), *takes])


def _eligible(executor: str, state: Backend) -> bool:
    owner = bound_to(executor)
    if owner is not None and owner != state.owner:
        return False
    return state.executor == executor or (not state.executor and owner is None)


def _free(name: str, owner: AccountId | None) -> bool:
    """Names of accounts' own backends are for accounts' own executors."""
    return owner is not None or not name.startswith(OWN)


def _inventory(packed: bytes) -> Inventory:
    """Raises UnusableError."""
    try:
        return read(_unpacked(packed))
    except msgspec.MsgspecError as error:
        raise UnusableError(f"the inventory cannot be read: {error}") from error


def _document(packed: bytes, part: Part) -> bytes:
    """Raises UnusableError."""
    body = _unpacked(packed)
    try:
        match part:
            case Part.CLASSES:
                descriptions.read(body)
            case Part.WEB_FILES:
                web_files.read(body)
            case Part.PIECE | Part.INVENTORY:
                pass
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableError(f"the document cannot be read: {error}") from error
    return body


def _unpacked(packed: bytes) -> bytes:
    """Raises UnusableError."""
    try:
        opened = zlib.decompressobj()
        body = opened.decompress(packed, MAX_INVENTORY_BYTES)
    except zlib.error as error:
        raise UnusableError(f"the inventory cannot be unpacked: {error}") from error
    if opened.unconsumed_tail or not opened.eof:
        raise UnusableError("the inventory is too large, or not all of it is there")
    return body


def _inventoried(name: str, inventory: Inventory, content: Content) -> BackendInventoried:
    counts = {folder: len(names) for folder, names in inventory.models.items()}
    return BackendInventoried(
        name=name,
        inventory=content,
        comfyui_version=inventory.version[:MAX_WORD],
        vram_bytes=inventory.vram_bytes,
        node_classes=len(inventory.node_classes),
        checkpoints=counts.get(CHECKPOINTS, 0),
        loras=counts.get(LORAS, 0),
        other_models=sum(counts.values()) - counts.get(CHECKPOINTS, 0) - counts.get(LORAS, 0),
    )
