"""An endpoint is one sender's at a time, and none is forgotten."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.identity.webhook_box import WebhookBox
from adapters.postgres.webhook_ledger import MAKE, WAKE, PostgresLedger
from adapters.postgres.webhook_outbox import PostgresOutbox
from commands.webhook_state import DeliveryState
from infra.wiring import pool
from services.ports.delivering import Attempted, Effect, Lease, MovedError
from tests.webhooks.ground import SECRET, Ground, sending
from tests.webhooks.receiver import Receiver, Reply


@pytest.fixture
async def outbox(ground: Ground) -> AsyncIterator[PostgresOutbox]:
    async with pool(str(ground.settings.app_database_url)) as connections:
        yield PostgresOutbox(connections, WebhookBox(SECRET.encode()))


@pytest.fixture
async def ledger(ground: Ground) -> AsyncIterator[PostgresLedger]:
    async with pool(str(ground.settings.app_database_url)) as connections:
        yield PostgresLedger(connections)


async def waiting(ground: Ground, webhooks: int, **more: Any) -> list[UUID]:
    """Endpoints of one account, each with one event to send, and no sender."""
    ann = await ground.person()
    made = [await ground.webhook(ann, "http://127.0.0.1:1/", **more) for _ in range(webhooks)]
    await ground.change(ann, "x")
    async with sending(ground):
        for each in made:
            async with asyncio.timeout(30):
                while not await ground.deliveries(each.webhook):
                    await asyncio.sleep(0.02)
    await ground.sql(
        "UPDATE work.webhooks SET lease = NULL, lease_until = NULL, next_at = now(), failures = 0, not_before = now()"
    )
    await ground.sql("UPDATE work.webhook_deliveries SET next_at = now()")
    return [each.webhook for each in made]


async def leases(
    outbox: PostgresOutbox, *, limit: int = 100, per_owner: int = 100, s: float = 60
) -> list[Lease]:
    return list(await outbox.lease(limit=limit, per_owner=per_owner, lease_s=s))


async def test_no_two_senders_have_the_same_endpoint(ground: Ground, outbox: PostgresOutbox) -> None:
    webhooks = await waiting(ground, 12)
    taken = await asyncio.gather(*(leases(outbox, limit=4) for _ in range(8)))
    every = [lease.webhook for some in taken for lease in some]
    assert len(every) == len(set(every))
    rest = await leases(outbox)
    assert sorted([*every, *(lease.webhook for lease in rest)]) == sorted(webhooks)
    assert await leases(outbox) == []


async def test_one_account_does_not_take_all_places(ground: Ground, outbox: PostgresOutbox) -> None:
    await waiting(ground, 6)
    assert len(await leases(outbox, per_owner=4)) == 4
    assert await leases(outbox, per_owner=4) == []


async def test_a_lease_that_ran_out_is_somebody_elses(ground: Ground, outbox: PostgresOutbox) -> None:
    (webhook,) = await waiting(ground, 1)
    (lost,) = await leases(outbox, s=0)
    (held,) = await leases(outbox)
    assert lost.webhook == held.webhook == webhook
    assert await outbox.turn(lost, lease_s=60, at_most=1) is None
    turn = await outbox.turn(held, lease_s=60, at_most=1)
    assert turn is not None
    attempted = Attempted(
        delivery=turn.due[0].id,
        state=DeliveryState.DELIVERED,
        at=turn.now,
        duration_ms=1,
        status=200,
        answer="",
        error="",
        pause_s=None,
    )
    assert not await outbox.settle(lost, [attempted], ok=True, hold_s=0)
    assert (await ground.deliveries(webhook))[0].state == "waiting"
    assert await outbox.settle(held, [attempted], ok=True, hold_s=0)
    assert (await ground.deliveries(webhook))[0].state == "delivered"
    await outbox.release(lost)
    assert await ground.sql("SELECT lease FROM work.webhooks") == [(held.id,)]
    await outbox.release(held)
    assert await ground.sql("SELECT lease, next_at FROM work.webhooks") == [(None, None)]


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_is_being_added_is_not_overlooked_by_who_finds_nothing(
    ground: Ground, outbox: PostgresOutbox, ordered: bool
) -> None:
    """The sender is about to say that nothing is left, while a delivery is added but not yet committed."""
    (webhook,) = await waiting(ground, 1, ordered=ordered)
    (lease,) = await leases(outbox)
    await ground.sql("UPDATE work.webhook_deliveries SET state = 'delivered'")
    async with await psycopg.AsyncConnection.connect(ground.database.url) as adding:
        row = ([uuid4()], [webhook], [99], ["run.failed.v1"])
        await adding.execute(MAKE, row)
        await adding.execute(WAKE, ([webhook],))
        releasing = asyncio.create_task(outbox.release(lease))
        await asyncio.wait([releasing], timeout=0.3)
        await adding.commit()
    await releasing
    assert [each.webhook for each in await leases(outbox)] == [webhook]


async def test_two_followers_do_not_both_store(ground: Ground, ledger: PostgresLedger) -> None:
    position = await ledger.position()
    nothing = Effect(made=(), changed=(), stopped={}, retried=(), forgotten=(), deleted=())
    outcomes = await asyncio.gather(
        *(ledger.store(nothing, before=position, upto=position + 1) for _ in range(4)),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["MovedError"] * 3 + ["NoneType"]
    assert all(each is None or isinstance(each, MovedError) for each in outcomes)


async def test_many_last_events_all_arrive(ground: Ground, receiver: Receiver) -> None:
    """Each event is the last one for a while: whoever overlooks it overlooks it for good."""
    ann = await ground.person()
    made = await ground.webhook(ann, receiver.url)
    receiver.answer = lambda got: Reply()
    async with sending(ground):
        for number in range(150):
            await ground.change(ann, f"{number}")
            await receiver.until(lambda: len(receiver.taken) > number, 20)  # noqa: B023 - waited for at once
        await ground.until(made.webhook, *["delivered"] * 150)
