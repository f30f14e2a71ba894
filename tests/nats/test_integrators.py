"""What an integrator can do with a key and a stock client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import pytest
from msgspec.structs import replace
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError

from adapters.nats.server_config import DOMAIN
from commands.accounts import GiveRole
from commands.api_keys import MakeApiKey, RevokeApiKey
from domain.account import Role
from domain.api_key import Scope
from domain.event import Event
from domain.ids import AccountId
from domain.run import RunClaimed, RunStarted
from domain.workflow import WorkflowPublished
from services.integrators import MAX_CONNECTIONS
from tests.nats.integrating import House, Integrator, Session
from tests.nats.logs import ListLog


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    try:
        async with made.open():
            yield made
    finally:
        made.kill()


async def happen(log: ListLog, owner: AccountId, *events: Event) -> None:
    """Events of one of the owner's things."""
    before = len(log.stored)
    await log.append(*events)
    log.stored[before:] = [replace(row, owner=owner) for row in log.stored[before:]]


async def consume(
    session: Session, integrator: Integrator, filter: str, number: int = 0, *, upto: int, **config: Any
) -> list[tuple[int, str]]:
    """Position and type of everything there is; `upto`: the last position that must come."""
    consumer = await subscribed(session, integrator, filter, number, **config)
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(60):
        while True:
            all_there = bool(found) and found[-1][0] >= upto
            try:
                messages = await consumer.fetch(100, timeout=0.3 if all_there else 2)
            except TimeoutError:
                if all_there:
                    return found
                continue
            for message in messages:
                await message.ack()
                event = msgspec.json.decode(message.data)
                assert int(event["id"]) == message.metadata.sequence.stream
                assert (message.headers or {})["Comfyplus-Position"] == event["id"]
                found.append((int(event["id"]), event["type"]))


async def subscribed(
    session: Session, integrator: Integrator, filter: str, number: int = 0, **config: Any
) -> JetStreamContext.PullSubscription:
    name = integrator.grant.consumers[number]
    jetstream = session.client.jetstream(domain=DOMAIN, timeout=20)
    wanted = ConsumerConfig(
        name=name, durable_name=name, filter_subject=filter, ack_policy=AckPolicy.EXPLICIT, **config
    )
    await jetstream.add_consumer("EVENTS", wanted)
    return await jetstream.pull_subscribe_bind(name, "EVENTS")


async def test_an_account_hears_of_its_own_and_of_what_is_public(house: House) -> None:
    ann, bob = await house.account(), await house.account()
    await happen(house.log, ann, RunStarted(epoch=1, backend="a"), WorkflowPublished())
    await happen(
        house.log, bob, RunStarted(epoch=1, backend="b"), RunClaimed(epoch=1, backend="b", executor="x")
    )
    await happen(house.log, bob, WorkflowPublished())
    integrator = await house.key(ann)
    own, public = integrator.grant.filters
    async with integrator.open() as session:
        assert await consume(session, integrator, own, upto=2) == [
            (1, "run.started.v1"),
            (2, "workflow.published.v1"),
        ]
        assert await consume(session, integrator, public, 1, upto=5) == [
            (2, "workflow.published.v1"),
            (5, "workflow.published.v1"),
        ]
        assert session.errors == []


async def test_an_administrators_key_hears_everything_that_is_told(house: House) -> None:
    ann, root = await house.account(), await house.account(Role.ADMIN)
    await happen(
        house.log, ann, RunStarted(epoch=1, backend="a"), RunClaimed(epoch=1, backend="b", executor="x")
    )
    await happen(house.log, ann, WorkflowPublished())
    integrator = await house.key(root, Scope.ALL_EVENTS)
    async with integrator.open() as session:
        everything = integrator.grant.filters[0]
        assert [position for position, _ in await consume(session, integrator, everything, upto=3)] == [1, 3]


async def test_a_consumer_begins_at_any_position_and_goes_on_where_it_was(house: House) -> None:
    ann = await house.account()
    await happen(house.log, ann, *(RunStarted(epoch=n, backend="a") for n in range(1, 11)))
    integrator = await house.key(ann)
    own = integrator.grant.filters[0]
    start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": 7}
    async with integrator.open() as session:
        assert [at for at, _ in await consume(session, integrator, own, upto=10, **start)] == [7, 8, 9, 10]
    await happen(house.log, ann, RunStarted(epoch=11, backend="a"))
    async with integrator.open(token=None, user="whoever", password=integrator.made.text) as session:
        assert [at for at, _ in await consume(session, integrator, own, upto=11, **start)] == [11]
        await session.client.jetstream(domain=DOMAIN).reset_consumer(
            "EVENTS", integrator.grant.consumers[0], 9
        )
        assert [at for at, _ in await consume(session, integrator, own, upto=11, **start)] == [9, 10, 11]


async def test_news_arrive_at_a_pull_that_waits(house: House) -> None:
    ann = await house.account()
    integrator = await house.key(ann)
    async with integrator.open() as session:
        consumer = await subscribed(session, integrator, integrator.grant.filters[0])
        waiting = asyncio.create_task(consumer.fetch(1, timeout=30))
        await happen(house.log, ann, RunStarted(epoch=1, backend="a"))
        (message,) = await waiting
        await message.ack_sync()


@pytest.mark.parametrize(
    "text", ["", "cpk_", "cpk_" + "A" * 54, "nonsense", "ü" * 58, "x" * 4000], ids=["none", "short", *"abcd"]
)
async def test_who_has_no_key_stays_outside(house: House, text: str) -> None:
    integrator = await house.key(await house.account())
    with pytest.raises((nats.errors.Error, JetStreamError)):
        async with integrator.open(token=text or None):
            pass


async def test_a_key_without_the_scope_stays_outside(house: House) -> None:
    ann = await house.account()
    integrator, other = await house.key(ann), await house.key(ann, Scope.EVENTS, Scope.READ)
    async with other.open():
        pass
    wrong = await house.ground.wish(_reading(ann), actor=str(ann))
    with pytest.raises(nats.errors.Error):
        async with integrator.open(token=wrong.text):
            pass


def _reading(account: AccountId) -> MakeApiKey:
    return MakeApiKey(by=account, name="reads", scopes=(Scope.READ,))


async def test_an_expired_key_is_put_out_and_stays_outside(house: House) -> None:
    integrator = await house.key(await house.account(), lasting=timedelta(hours=1))
    async with integrator.open() as session:
        house.ground.wait(timedelta(hours=2))
        async with asyncio.timeout(30):
            await session.closed.wait()
    with pytest.raises(nats.errors.Error):
        async with integrator.open():
            pass


async def test_a_revoked_key_is_put_out_and_others_stay(house: House) -> None:
    ann, bob = await house.account(), await house.account()
    mine, other, bobs = await house.key(ann), await house.key(ann), await house.key(bob)
    async with mine.open() as session, mine.open() as second, other.open() as spared, bobs.open() as foreign:
        await subscribed(session, mine, mine.grant.filters[0])
        await house.ground.wish(RevokeApiKey(by=ann, key=mine.made.row.key))
        async with asyncio.timeout(30):
            await session.closed.wait()
            await second.closed.wait()
        assert spared.client.is_connected
        assert foreign.client.is_connected
    with pytest.raises(nats.errors.Error):
        async with mine.open():
            pass


async def test_who_is_no_administrator_any_more_hears_no_more(house: House) -> None:
    root = await house.account(Role.ADMIN)
    integrator = await house.key(root, Scope.ALL_EVENTS)
    async with integrator.open() as session:
        state = await house.needs.accounts.by_id(root)
        assert state is not None
        await house.ground.wish(GiveRole(username=state.username, role=Role.MEMBER))
        async with asyncio.timeout(30):
            await session.closed.wait()
    with pytest.raises(nats.errors.Error):
        async with integrator.open():
            pass


async def test_a_log_in_lasts_for_its_time_only(tmp_path: Path) -> None:
    made = House(tmp_path, lifetime_s=5)
    try:
        async with made.open():
            integrator = await made.key(await made.account())
            async with integrator.open() as session, asyncio.timeout(30):
                await session.closed.wait()
    finally:
        made.kill()


async def test_more_connections_than_a_key_may_have_are_ended(house: House) -> None:
    integrator = await house.key(await house.account())
    async with AsyncExitStack() as stack:
        first = [await stack.enter_async_context(integrator.open()) for _ in range(MAX_CONNECTIONS)]
        extra = await stack.enter_async_context(integrator.open())
        async with asyncio.timeout(30):
            await extra.closed.wait()
        assert [session.errors for session in first if session.closed.is_set()] == []
