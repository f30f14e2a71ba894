"""Who drives which backend, and for whom: as dispatch decides it over the log."""

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from adapters.postgres.backend_table import PostgresBackendTable
from commands.backends import (
    ChangeBackend,
    DrainBackend,
    RegisterBackend,
    RemoveBackend,
    SeeBackend,
    SetOwnBackend,
)
from commands.dispatcher import Dispatcher
from commands.gate import SetGate
from commands.needs import Command, Needs
from commands.streams import Context
from domain.backend import BACKEND, Backend, BackendSeen, own_name
from domain.gate import GateRules
from domain.ids import AccountId, Actor, RunId, backend_id
from domain.workflow import Requirements
from infra.settings import Settings
from infra.wiring import needs
from services.dispatch.roll import Roll, UnusableError
from services.ports.dispatching import Claimed, TooEarlyError
from services.ports.messages import BackendState, ClaimRequest, Part, Stock
from tests.execution.test_dispatch import Office, office
from tests.execution.test_queue import submitted
from tests.servers import Database
from workflows.descriptions import described, documents
from workflows.graph import MAX_MODEL_NAME
from workflows.inventory import Inventory, digest, written

ANN, BOB = AccountId(uuid4()), AccountId(uuid4())
URL = "https://gpu.example.org"
CONTEXT = Context(actor=Actor("test"), correlation=uuid4())


@pytest.fixture
async def made(database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    async with office(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def admin(made: Office, database: Database, tmp_path: Path) -> AsyncIterator[Needs]:
    """What the API's commands have: they may write what dispatch may only read."""
    settings = Settings(data=tmp_path, secret="a secret that only tests know, long enough")
    async with needs(settings, made.secrets, database.url_of("comfyplus_app")) as wants:
        yield wants


async def wish(admin: Needs, command: Command) -> None:
    await Dispatcher(admin).run(command, CONTEXT)


async def state(admin: Needs, name: str) -> Backend:
    return (await admin.streams.load(BACKEND, backend_id(name)))[0]


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


async def names(roll: Roll, executor: str, until: datetime | None = None) -> list[str]:
    return [order.name for order in await roll.orders(executor, until or later())]


def sight(name: str, access: UUID | None = None) -> BackendState:
    return BackendState(name=name, sight=BackendSeen(name=name, executor="?"), access=access)


async def test_a_backend_is_driven_by_one_executor_until_that_is_silent(made: Office, admin: Needs) -> None:
    await wish(admin, RegisterBackend(name="gpu-1", url=URL))
    await wish(admin, RegisterBackend(name="gpu-2", url=URL, executor="west"))
    one, other = made.roll(), made.roll()

    assert await names(one, "east") == ["gpu-1"]
    assert await names(other, "west") == ["gpu-2"]
    assert await names(other, "east") == ["gpu-1"]
    await names(one, "east", datetime.now(UTC) - timedelta(seconds=1))
    assert await names(other, "west") == ["gpu-1", "gpu-2"]
    assert await names(one, "east") == []


async def test_an_order_says_where_it_is_and_what_opens_it(made: Office, admin: Needs) -> None:
    await wish(admin, SetOwnBackend(by=ANN, url=URL))
    await wish(admin, RegisterBackend(name="gpu-1", url=URL, slots=3))
    orders = {order.name: order for order in await made.roll().orders("east", later())}
    assert (orders["gpu-1"].url, orders["gpu-1"].slots, orders["gpu-1"].guarded) == (URL, 3, False)
    assert orders[own_name(ANN)].guarded  # an account says where it is


async def test_what_is_drained_or_not_ones_own_to_drive_is_given_nothing(made: Office, admin: Needs) -> None:
    await wish(admin, RegisterBackend(name="gpu-1", url=URL, pool="big", executor="east"))
    roll = made.roll()
    request = await roll.claiming("east", "gpu-1")
    assert request is not None
    assert (request.pools, request.only) == (("big",), None)
    assert await roll.claiming("west", "gpu-1") is None
    await wish(admin, DrainBackend(name="gpu-1", reason="A new driver."))
    assert await roll.claiming("east", "gpu-1") is None


async def test_an_accounts_backend_takes_this_accounts_runs_only(made: Office, admin: Needs) -> None:
    await wish(admin, SetOwnBackend(by=ANN, url=URL))
    request = await made.roll().claiming("east", own_name(ANN))
    assert request is not None
    assert (request.pools, request.only) == (("shared", own_name(ANN)), ANN)


async def test_an_accounts_own_executor_drives_nothing_else(made: Office, admin: Needs) -> None:
    hers = f"account-{ANN}"
    await wish(admin, RegisterBackend(name="gpu-1", url=URL))
    await wish(admin, SetOwnBackend(by=BOB, url=URL))
    roll = made.roll()
    assert await names(roll, hers) == []
    for name in ("gpu-1", "gpu-2", own_name(BOB)):
        assert await roll.claiming(hers, name) is None
        await roll.seen(hers, sight(name, (await state(admin, name)).access), later(), CONTEXT)
        assert not (await state(admin, name)).live
    request = await roll.claiming(hers, own_name(ANN))
    assert request is not None
    assert (request.pools, request.only) == (("shared", own_name(ANN)), ANN)
    await roll.seen(hers, sight(own_name(ANN)), later(), CONTEXT)
    assert (await state(admin, own_name(ANN))).owner == ANN
    assert await roll.claiming("east", own_name(ANN)) is None  # and nobody else drives it


async def test_a_registered_name_is_not_taken_over_by_an_executors_settings(
    made: Office, admin: Needs
) -> None:
    await wish(admin, RegisterBackend(name="gpu-1", url=URL, executor="east"))
    roll = made.roll()
    await roll.seen("west", sight("gpu-1"), later(), CONTEXT)
    await roll.seen("east", sight("gpu-1"), later(), CONTEXT)
    assert not (await state(admin, "gpu-1")).live
    access = (await state(admin, "gpu-1")).access
    await roll.seen("east", sight("gpu-1", access), later(), CONTEXT)
    assert (await state(admin, "gpu-1")).live


async def test_what_is_told_of_an_address_of_before_does_not_count(made: Office, admin: Needs) -> None:
    await wish(admin, RegisterBackend(name="gpu-1", url=URL))
    before = (await state(admin, "gpu-1")).access
    await wish(admin, ChangeBackend(name="gpu-1", url="https://other.example.org"))
    roll = made.roll()
    await roll.seen("east", sight("gpu-1", before), later(), CONTEXT)
    assert not (await state(admin, "gpu-1")).live
    await wish(admin, RemoveBackend(name="gpu-1", reason="Sold."))
    await roll.seen("east", sight("gpu-1", before), later(), CONTEXT)
    assert not (await state(admin, "gpu-1")).known


async def test_what_a_backend_has_is_kept_beside_the_log(made: Office, admin: Needs) -> None:
    await wish(admin, SeeBackend(sight=BackendSeen(name="gpu-1", executor="east")))
    inventory = Inventory(version="0.9", node_classes={"KSampler": "nodes"}, models={"loras": ("a", "b")})
    packed = zlib.compress(written(inventory))
    roll = made.roll()
    for _ in range(2):
        await roll.stocked("east", Stock(backend="gpu-1", packed=packed), CONTEXT)
    kept = (await state(admin, "gpu-1")).inventory
    assert kept is not None
    assert await admin.contents.get(kept.digest) == written(inventory)
    events = await admin.streams.log.read(backend_id("gpu-1"))
    assert [(each.event.loras, each.event.node_classes) for each in events[1:]] == [(2, 1)]


async def test_what_node_classes_take_is_kept_beside_it(made: Office, admin: Needs) -> None:
    await wish(admin, SeeBackend(sight=BackendSeen(name="gpu-1", executor="east")))
    ((_, body),) = documents(described({"KSampler": {"output": ["LATENT"]}}, {}))
    roll = made.roll()
    for other in (b"nothing", zlib.compress(b"[]"), zlib.compress(b" " * (17 << 20))):
        with pytest.raises(UnusableError):
            await roll.stocked("east", Stock(backend="gpu-1", packed=other, part=Part.CLASSES), CONTEXT)
    naming = Stock(backend="gpu-1", packed=zlib.compress(written(Inventory(described=(digest(body),)))))
    with pytest.raises(UnusableError):
        await roll.stocked("east", naming, CONTEXT)
    await roll.stocked("east", Stock(backend="gpu-1", packed=zlib.compress(body), part=Part.CLASSES), CONTEXT)
    await roll.stocked("east", naming, CONTEXT)
    assert await admin.contents.get(digest(body)) == body
    assert (await state(admin, "gpu-1")).inventory is not None


async def test_what_is_told_to_a_process_that_has_not_looked_yet_is_kept(made: Office, admin: Needs) -> None:
    table = PostgresBackendTable(made.ground.pool)
    slow = Roll(made.queue, table, Dispatcher(made.wants), fresh_s=3_600)
    assert await names(slow, "east") == []
    await wish(admin, RegisterBackend(name="gpu-1", url=URL))
    access = (await state(admin, "gpu-1")).access
    assert await names(made.roll(), "east") == ["gpu-1"]
    await made.roll().seen("east", sight("gpu-1", access), later(), CONTEXT)
    packed = zlib.compress(written(Inventory()))
    await slow.stocked("east", Stock(backend="gpu-1", packed=packed, access=access), CONTEXT)
    assert (await state(admin, "gpu-1")).inventory is not None


async def test_what_is_told_before_the_first_beat_is_asked_for_again(made: Office, admin: Needs) -> None:
    roll, stock = made.roll(), Stock(backend="gpu-1", packed=zlib.compress(written(Inventory())))
    with pytest.raises(TooEarlyError):
        await roll.stocked("east", stock, CONTEXT)
    await roll.seen("east", sight("gpu-1"), later(), CONTEXT)
    await roll.stocked("east", stock, CONTEXT)
    assert (await state(admin, "gpu-1")).inventory is not None


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"nothing",
        zlib.compress(b"[]"),
        zlib.compress(b'{"version": 1}'),
        zlib.compress(b" " * (17 << 20)),
    ],
)
async def test_what_cannot_be_an_inventory_is_refused(made: Office, admin: Needs, packed: bytes) -> None:
    await wish(admin, SeeBackend(sight=BackendSeen(name="gpu-1", executor="east")))
    with pytest.raises(UnusableError):
        await made.roll().stocked("east", Stock(backend="gpu-1", packed=packed), CONTEXT)


class Floor:
    """Runs that need something, and backends that have something."""

    def __init__(self, made: Office) -> None:
        self._made = made
        self.roll = made.roll()

    async def submit(self, needed: Requirements) -> RunId:
        run = RunId(uuid4())
        await self._made.ground.write(run, 0, replace(submitted(), requirements=needed))
        await self._made.ground.fold(self._made.queue)
        return run

    async def has(self, name: str, inventory: Inventory) -> None:
        await self.roll.seen("east", sight(name), later(), CONTEXT)
        stock = Stock(backend=name, packed=zlib.compress(written(inventory)))
        await self.roll.stocked("east", stock, CONTEXT)

    async def claimed(self, name: str) -> RunId | None:
        found = await self._made.queue.claim(ClaimRequest(executor="east", backend=name), later())
        return found.run if isinstance(found, Claimed) else None


async def test_a_run_is_given_only_to_a_backend_that_can_do_it(made: Office, admin: Needs) -> None:
    """Whichever is known first: what runs need, or what backends have."""
    floor = Floor(made)
    long = "m" * (MAX_MODEL_NAME + 50)
    model = f"checkpoints/{long[:MAX_MODEL_NAME]}"
    big = Inventory(
        node_classes={"KSampler": "nodes", "Impact": "custom_nodes.impact"},
        models={"checkpoints": (f"{long}.safetensors",)},
    )
    first = await floor.submit(Requirements(("KSampler",), (model,)))
    await floor.has("small", Inventory(node_classes={"KSampler": "nodes"}))
    assert await floor.claimed("small") is None
    await floor.has("big", big)
    assert await floor.claimed("big") == first

    second = await floor.submit(Requirements(("Impact",)))
    assert await floor.claimed("big") is None
    await wish(admin, SetGate(rules=GateRules(allowed=("Impact",)), reason="Asked for."))
    await floor.roll.orders("east", later())
    assert await floor.claimed("big") == second

    third = await floor.submit(Requirements(("SomethingNew",)))
    assert await floor.claimed("untold") == third  # nobody has told what it has


async def test_runs_with_uploaded_loras_go_where_they_are_brought(made: Office) -> None:
    floor, nodes = Floor(made), {"LoraLoader": "nodes"}
    one, other = (f"loras/user-{owner}/own.safetensors" for owner in (ANN, BOB))
    none = Inventory(node_classes=nodes, models={"loras": ("user-friendly.safetensors",)})
    await floor.has("none", none)
    first = await floor.submit(Requirements(("LoraLoader",), (one,)))
    second = await floor.submit(Requirements(("LoraLoader",), (other, "loras/user-friendly.safetensors")))
    third = await floor.submit(Requirements(("LoraLoader",), ("loras/user-friendly.safetensors",)))
    assert await floor.claimed("untold") == third  # it waits behind those that an untold one might refuse
    assert await floor.claimed("untold") is None
    assert await floor.claimed("none") is None

    await floor.has("takes", Inventory(node_classes=nodes, takes_loras=True))
    assert await floor.claimed("takes") == first
    assert await floor.claimed("takes") is None  # what is no account's own is not brought
    await floor.has("none", replace(none, takes_loras=True))
    assert await floor.claimed("none") == second

    fourth = await floor.submit(Requirements(("LoraLoader",), (one,)))
    await floor.has("takes", Inventory(node_classes=nodes))
    assert await floor.claimed("takes") is None  # it takes them no more
    assert await floor.claimed("none") == fourth
