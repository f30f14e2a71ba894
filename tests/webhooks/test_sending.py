"""Events arrive at a real server: signed, in order, again and again until they are taken."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from commands.webhooks import ChangeWebhook, DeleteWebhook, ReplayRange, RotateSecret, SendAgain, TryWebhook
from domain.refusals import Conflict
from domain.webhook import WEBHOOK, Reason
from services.webhooks.judging import Schedule
from tests.webhooks.ground import QUICK, Ground, sending
from tests.webhooks.receiver import Got, Receiver, Reply


async def test_an_event_arrives_signed_and_as_a_cloud_event(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/a?b=c")
    async with sending(ground):
        position = await ground.change(ann, "moonlight")
        await receiver.until(lambda: len(receiver.taken) == 1)
        (delivery,) = await ground.until(made.webhook, "delivered")

    (got,) = receiver.got
    ((log,),) = await ground.sql("SELECT id FROM log.identity")
    assert made.secret is not None
    event = Webhook(made.secret).verify(got.body, got.headers)
    assert got.path == "/a?b=c"
    assert got.id == f"evt_{log.hex}_{position}"
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert event == {
        "specversion": "1.0",
        "id": str(position),
        "source": f"urn:uuid:{log}",
        "type": "workflow.changed.v1",
        "subject": str(ann.workflow),
        "time": event["time"],
        "datacontenttype": "application/json",
        "data": event["data"],
    }
    assert event["data"]["description"] == "moonlight"
    assert (delivery.status, delivery.answer, delivery.attempts, delivery.error) == (200, "thanks", 1, "")


async def test_only_what_is_asked_for_is_sent(ground: Ground, receiver: Receiver) -> None:
    ann, bob = await ground.person(), await ground.person()
    await ground.webhook(ann, f"{receiver.url}/published", types=("workflow.published.v1",))
    await ground.webhook(ann, f"{receiver.url}/runs", types=("run.*",))
    await ground.webhook(ann, f"{receiver.url}/all")
    await ground.webhook(ann, f"{receiver.url}/everybody", everybody=True, types=("workflow.*",))
    async with sending(ground):
        await ground.change(bob, "bob's", public=True)
        await ground.change(ann, "ann's", public=True)
        await ground.change(ann, "the end")
        await receiver.until(lambda: len(receiver.taken) == 8)

    told = {
        path: [(got.event["type"], got.event["subject"]) for got in receiver.at(path)]
        for path in ("/published", "/runs", "/all", "/everybody")
    }
    changed, published = "workflow.changed.v1", "workflow.published.v1"
    a, b = str(ann.workflow), str(bob.workflow)
    assert told == {
        "/published": [(published, a)],
        "/runs": [],
        "/all": [(changed, a), (published, a), (changed, a)],
        "/everybody": [(published, b), (changed, a), (published, a), (changed, a)],
    }


async def test_a_failing_event_is_tried_again_and_none_overtakes_it(
    ground: Ground, receiver: Receiver
) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/")
    tries: dict[str, int] = {}

    def answer(got: Got) -> Reply:
        tries[got.id] = tries.get(got.id, 0) + 1
        return Reply() if tries[got.id] == 3 else Reply(500, b"oh no\x00" + b"x" * 3000)

    receiver.answer = answer
    async with sending(ground):
        positions = await ground.happen(ann, 4)
        await receiver.until(lambda: len(receiver.taken) == 4)
        found = await ground.until(made.webhook, *["delivered"] * 4)

    assert [got.position for got in receiver.got] == [each for each in positions for _ in range(3)]
    assert [got.position for got in receiver.taken] == positions
    assert receiver.most_at_once["/"] == 1
    assert [each.attempts for each in found] == [3] * 4


async def test_the_log_of_deliveries_tells_why(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    receiver.answer = lambda got: Reply(503, b"\xff busy \x00" + b"y" * 5000, {"retry-after": "600"})
    made = await ground.webhook(ann, f"{receiver.url}/")
    async with sending(ground):
        await ground.change(ann, "x")
        await receiver.until(lambda: len(receiver.got) == 1)
        while not (found := await ground.deliveries(made.webhook))[0].attempts:
            await asyncio.sleep(0.05)
        health = await ground.dispatcher.needs.webhooks.health(made.webhook)
        while health.next_at != found[0].next_at:  # until the sender has let go of the endpoint
            await asyncio.sleep(0.05)
            health = await ground.dispatcher.needs.webhooks.health(made.webhook)

    (delivery,) = found
    assert (delivery.state, delivery.status, delivery.error) == ("waiting", 503, "It answered 503.")
    assert delivery.answer is not None
    assert delivery.answer.startswith("\ufffd busy \ufffdyyy")
    assert len(delivery.answer) == 1024
    assert delivery.next_at is not None
    assert delivery.last_attempt_at is not None
    assert timedelta(seconds=595) < delivery.next_at - delivery.last_attempt_at < timedelta(seconds=620)
    assert (health.waiting, health.next_at) == (1, delivery.next_at)
    assert health.failing_since is not None


async def test_a_date_in_retry_after_is_waited_for(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    later = format_datetime(datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1), usegmt=True)
    receiver.answer = lambda got: Reply(429, headers={"retry-after": later})
    made = await ground.webhook(ann, f"{receiver.url}/", ordered=False)
    async with sending(ground):
        await ground.happen(ann, 2)
        await receiver.until(lambda: len(receiver.got) >= 1)
        while not (found := await ground.deliveries(made.webhook)) or not found[0].attempts:
            await asyncio.sleep(0.05)
    assert found[0].next_at is not None
    assert found[0].next_at > datetime.now(UTC) + timedelta(minutes=55)
    assert receiver.most_at_once["/"] <= 2


async def test_who_is_gone_is_disabled_at_once(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    receiver.answer = lambda got: Reply(410)
    made = await ground.webhook(ann, f"{receiver.url}/")
    async with sending(ground):
        await ground.happen(ann, 3)
        await receiver.until(lambda: len(receiver.got) == 1)
        found = await ground.until(made.webhook, *["skipped"] * 3)
        await ground.change(ann, "nobody is told")
        await ground.followed()

    state, _ = await ground.dispatcher.needs.streams.load(WEBHOOK, made.webhook)
    assert (state.active, state.disabled) == (False, Reason.GONE)
    assert found[0].status == 410
    assert len(receiver.got) == 1
    assert len(await ground.deliveries(made.webhook)) == 3


async def test_who_fails_for_too_long_is_disabled_and_can_come_back(
    ground: Ground, receiver: Receiver
) -> None:
    ann = await ground.person()
    receiver.answer = lambda got: Reply(302, headers={"location": f"{receiver.url}/elsewhere"})
    made = await ground.webhook(ann, f"{receiver.url}/")
    patience = Schedule(pauses_s=(0.1,), patience=timedelta(seconds=0.5))
    async with sending(ground, replace(QUICK, schedule=patience)):
        first = await ground.change(ann, "one")
        async with asyncio.timeout(30):
            while (await ground.dispatcher.needs.streams.load(WEBHOOK, made.webhook))[0].active:
                await asyncio.sleep(0.05)
        await ground.followed()
        await ground.change(ann, "missed")
        await ground.followed()
        receiver.answer = lambda got: Reply()
        await ground.wish(ChangeWebhook(by=ann.id, webhook=made.webhook, active=True), ann.id)
        third = await ground.change(ann, "three")
        await receiver.until(lambda: len(receiver.taken) == 1)

    assert {got.path for got in receiver.got} == {"/"}
    assert [got.position for got in receiver.taken] == [third]
    found = {each.position: each.state for each in await ground.deliveries(made.webhook)}
    assert list(found) == [first, third]
    assert found[first] in ("failed", "skipped")


async def test_a_dead_endpoint_holds_up_nobody(ground: Ground, receiver: Receiver) -> None:
    ann, bob = await ground.person(), await ground.person()
    receiver.answer = lambda got: Reply(delay_s=30) if got.path == "/dead" else Reply()
    dead = [await ground.webhook(ann, f"{receiver.url}/dead") for _ in range(10)]
    await ground.webhook(bob, f"{receiver.url}/live")
    async with sending(ground, replace(QUICK, endpoints=12, attempt_s=2.0)):
        await ground.happen(ann, 5)
        await receiver.until(lambda: len(receiver.at("/dead")) == QUICK.per_owner)
        positions = await ground.happen(bob, 20)
        await receiver.until(lambda: len(receiver.taken) == 20)
        assert [got.position for got in receiver.taken] == positions
        while not (found := await ground.deliveries(dead[0].webhook))[0].attempts:
            await asyncio.sleep(0.05)
    assert found[0].error == "It did not answer within 2 s."


async def test_unordered_endpoints_are_sent_several_at_once(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    first: list[str] = []

    def answer(got: Got) -> Reply:
        first.append(got.id)
        return Reply(500) if got.id == first[0] and first.count(got.id) < 4 else Reply(delay_s=0.2)

    receiver.answer = answer
    made = await ground.webhook(ann, f"{receiver.url}/", ordered=False)
    positions = await ground.happen(ann, 20)
    async with sending(ground):
        await receiver.until(lambda: len(receiver.taken) == 20)
        await ground.until(made.webhook, *["delivered"] * 20)
    assert sorted(got.position for got in receiver.taken) == positions
    assert receiver.taken[0].id != first[0]
    assert 1 < receiver.most_at_once["/"] <= QUICK.at_once


async def test_both_secrets_sign_after_a_change(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/")
    rotated = await ground.wish(RotateSecret(by=ann.id, webhook=made.webhook), ann.id)
    async with sending(ground):
        await ground.change(ann, "x")
        await receiver.until(lambda: len(receiver.taken) == 1)
    (got,) = receiver.got
    assert len(got.headers["webhook-signature"].split(" ")) == 2
    assert made.secret != rotated.secret
    for secret in (made.secret, rotated.secret):
        Webhook(secret).verify(got.body, got.headers)


async def test_a_trial_is_sent_even_while_paused(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/", active=False)
    receiver.answer = lambda got: Reply(500)
    async with sending(ground):
        delivery = await ground.wish(TryWebhook(by=ann.id, webhook=made.webhook), ann.id)
        await receiver.until(lambda: len(receiver.got) == 1)
        (found,) = await ground.until(made.webhook, "failed")
    (got,) = receiver.got
    assert made.secret is not None
    assert Webhook(made.secret).verify(got.body, got.headers)["type"] == "webhook.test.v1"
    assert (found.id, found.position, found.attempts) == (delivery, 0, 1)


async def test_one_delivery_is_sent_again_under_the_same_id(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/")
    async with sending(ground):
        await ground.happen(ann, 2)
        first, _ = await ground.until(made.webhook, "delivered", "delivered")
        await ground.wish(SendAgain(by=ann.id, webhook=made.webhook, delivery=first.id), ann.id)
        await receiver.until(lambda: len(receiver.taken) == 3)
        await ground.until(made.webhook, "delivered", "delivered")
    assert [got.position for got in receiver.got] == [first.position, first.position + 1, first.position]
    assert receiver.got[0].id == receiver.got[2].id


async def test_a_range_is_sent_again_also_from_before_there_was_a_webhook(
    ground: Ground, receiver: Receiver
) -> None:
    ann, bob = await ground.person(), await ground.person()
    before = await ground.happen(ann, 30, "before")
    await ground.happen(bob, 5)
    made = await ground.webhook(ann, f"{receiver.url}/", types=("workflow.changed.v1",))
    async with sending(ground):
        after = await ground.happen(ann, 2, "after")
        await receiver.until(lambda: len(receiver.taken) == 2)
        await ground.wish(ReplayRange(by=ann.id, webhook=made.webhook, after=before[9]), ann.id)
        await receiver.until(lambda: len(receiver.taken) == 2 + 20 + 2)
        await ground.until(made.webhook, *["delivered"] * 22)
    assert [got.position for got in receiver.got] == [*after, *before[10:], *after]


async def test_a_range_between_times(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    positions = await ground.happen(ann, 10)
    made = await ground.webhook(ann, f"{receiver.url}/")
    ((third,), (seventh,)) = await ground.sql(
        "SELECT recorded_at FROM log.events WHERE notification_id = ANY(%s) ORDER BY 1",
        [positions[3], positions[7]],
    )
    async with sending(ground):
        wish = ReplayRange(by=ann.id, webhook=made.webhook, after=third, until=seventh)
        await ground.wish(wish, ann.id)
        await receiver.until(lambda: len(receiver.taken) == 4)
        await ground.until(made.webhook, *["delivered"] * 4)
    assert [got.position for got in receiver.got] == positions[3:7]


async def test_nothing_is_replayed_to_who_is_paused(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/", active=False)
    with pytest.raises(Conflict, match="not active"):
        await ground.wish(ReplayRange(by=ann.id, webhook=made.webhook, after=0), ann.id)


async def test_another_url_is_tried_at_once(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, "http://127.0.0.1:1/nobody-listens")
    slow = replace(QUICK, schedule=Schedule(pauses_s=(3600,)))
    async with sending(ground, slow):
        position = await ground.change(ann, "x")
        while not (found := await ground.deliveries(made.webhook)) or not found[0].attempts:
            await asyncio.sleep(0.05)
        assert found[0].status is None
        assert found[0].error is not None
        assert found[0].error.startswith("It could not be reached")
        await ground.wish(ChangeWebhook(by=ann.id, webhook=made.webhook, url=f"{receiver.url}/new"), ann.id)
        await receiver.until(lambda: len(receiver.taken) == 1)
    assert [got.position for got in receiver.at("/new")] == [position]


async def test_nothing_is_left_of_what_was_deleted(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/")
    async with sending(ground):
        await ground.happen(ann, 2)
        await ground.until(made.webhook, "delivered", "delivered")
        await ground.wish(DeleteWebhook(by=ann.id, webhook=made.webhook), ann.id)
        await ground.change(ann, "nobody is told")
        await ground.followed()
    for table in ("webhooks", "webhook_sealed", "webhook_deliveries"):
        assert await ground.sql(f"SELECT webhook FROM work.{table}") == []
    assert len(receiver.got) == 2


async def test_secrets_and_addresses_are_readable_nowhere(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/with-a-token")
    async with sending(ground):
        await ground.change(ann, "x")
        await ground.until(made.webhook, "delivered")
    assert made.secret is not None
    for table in ("log.events", "work.webhooks", "work.webhook_sealed", "work.webhook_deliveries"):
        for (row,) in await ground.sql(
            f"SELECT encode(convert_to(t::text, 'UTF8'), 'hex') FROM {table} AS t"
        ):
            text = bytes.fromhex(row)
            for known in (b"with-a-token", made.secret.encode(), made.secret[6:].encode()):
                assert known not in text
                assert known.hex().encode() not in text
