"""What nobody gets by trying: as an integrator with a good key, as an executor, and as nobody."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import Error as JetStreamError

from adapters.nats.connection import connect
from adapters.nats.consumers import within
from adapters.nats.nkey import Issuer
from adapters.nats.server_config import DOMAIN, FEED_API, INTEG
from domain.api_key import Scope
from domain.ids import Position
from domain.run import RunStarted
from services.relay import Relay
from tests.nats.integrating import PASSWORD, SOON, House, Integrator, Session
from tests.nats.logs import ListLog
from tests.nats.test_integrators import consume, happen, subscribed

API = FEED_API


class Scene:
    """ann has a consumer with three events waiting; mallory has a good key of his own, and one event."""

    def __init__(self, house: House, ann: Integrator, mallory: Integrator) -> None:
        self.house, self.ann, self.mallory = house, ann, mallory

    async def unharmed(self) -> None:
        """The stream and ann's consumer are as they were, and she gets what was hers."""
        state = await self.house.stored()
        assert (state.messages, state.last_seq) == (4, 4)
        async with self.ann.open() as session:
            own = self.ann.grant.filters[0]
            assert [at for at, _ in await consume(session, self.ann, own, upto=3)] == [1, 2, 3]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    house = House(tmp_path)
    try:
        async with house.open():
            ann, mallory = await house.account(), await house.account()
            await happen(house.log, ann, *(RunStarted(epoch=n, backend="a") for n in range(1, 4)))
            await happen(house.log, mallory, RunStarted(epoch=1, backend="m"))
            while (await house.stored()).last_seq < 4:
                await asyncio.sleep(0.01)
            hers, his = await house.key(ann), await house.key(mallory)
            async with hers.open() as session:
                await subscribed(session, hers, hers.grant.filters[0])
            yield Scene(house, hers, his)
    finally:
        house.kill()


def forbidden(scene: Scene) -> list[str]:
    """Even where he knows the names of her consumers and inboxes."""
    her, his = scene.ann.grant.consumers[0], scene.mallory.grant.consumers[0]
    hers = scene.ann.grant.filters[0]
    return [
        f"events.{scene.ann.made.row.account}.own.run.x.forged.v1",
        f"events.{scene.mallory.made.row.account}.own.run.x.forged.v1",
        "internal",
        "integrators.create.x.events.>",
        f"{API}.CREATE.EVENTS.{her}.{hers}",
        f"{API}.CREATE.EVENTS.{his}.{hers}",
        f"{API}.CREATE.EVENTS.{his}.events.>",
        f"{API}.CREATE.EVENTS.{his}.>",
        f"{API}.CREATE.EVENTS.{his}.events.*.own.>",
        f"{API}.CREATE.EVENTS.{his}.events.*.>",
        f"{API}.CREATE.EVENTS.{his}.internal",
        f"{API}.CREATE.EVENTS.{his}",
        f"{API}.CREATE.EVENTS",
        f"{API}.DURABLE.CREATE.EVENTS.{his}",
        *(f"{API}.{verb}.EVENTS.{her}" for verb in ("INFO", "DELETE", "RESET", "MSG.NEXT", "PAUSE", "UNPIN")),
        f"{API}.NAMES.EVENTS",
        f"{API}.LIST.EVENTS",
        f"$JS.ACK.EVENTS.{her}.1.1.1.1.0",
        *(
            f"{prefix}.{what}"
            for prefix in ("$JS.API", f"$JS.{DOMAIN}.API")
            for what in (
                "INFO",
                "STREAM.CREATE.MINE",
                "STREAM.UPDATE.EVENTS",
                "STREAM.DELETE.EVENTS",
                "STREAM.PURGE.EVENTS",
                "STREAM.INFO.EVENTS",
                "STREAM.NAMES",
                "STREAM.MSG.GET.EVENTS",
                "STREAM.MSG.DELETE.EVENTS",
                "STREAM.SNAPSHOT.EVENTS",
                "DIRECT.GET.EVENTS",
                "DIRECT.GET.EVENTS.events.x",
            )
        ),
        "$JS.API.CONSUMER.CREATE.EVENTS.x.events.>",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.PING.CONNZ",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.USER.INFO",
        f"{scene.ann.grant.inbox}.x",
        f"{scene.mallory.grant.inbox}.x",
        "_R_.x",
        "runs.claim.gpu-1",
        "progress.x.y.step",
    ]


async def test_nothing_can_be_published_but_requests_about_ones_own_consumers(scene: Scene) -> None:
    async with scene.mallory.open() as session:
        subjects = forbidden(scene)
        for subject in subjects:
            await session.client.publish(subject, b"{}")
        await told_of(session, len(subjects))
        for subject in subjects:
            assert any(f'"{subject.lower()}"' in error.lower() for error in session.errors), subject
    await scene.unharmed()


async def test_nothing_can_be_heard_but_ones_own_inboxes(scene: Scene) -> None:
    subjects = [
        *(">", "*", "*.>", "events.>", "internal", "_INBOX.>", "_INBOX.*", "_R_.>", "$JS.>", "$SYS.>"),
        *("$JS.ACK.>", "$JS.EVENT.ADVISORY.>", "$SYS.ACCOUNT.>", "integrators.>", "progress.>"),
        f"{scene.ann.grant.inbox}.>",
        f"{scene.ann.grant.inbox}.x",
        f"{scene.mallory.grant.inbox}",
        f"events.{scene.mallory.made.row.account}.>",
    ]
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    async with scene.mallory.open() as session:
        for subject in subjects:
            await session.client.subscribe(subject, cb=hear)
            await session.client.subscribe(subject, queue="q", cb=hear)
        await told_of(session, len(subjects))
        await happen(scene.house.log, scene.ann.made.row.account, RunStarted(epoch=9, backend="a"))
        async with scene.ann.open() as hers:
            await consume(hers, scene.ann, scene.ann.grant.filters[0], upto=5)
        assert heard == []


async def test_no_reply_subject_reaches_anything_of_ours_or_of_others(scene: Scene) -> None:
    """Reply subjects are checked by nobody: JetStream and its consumers will send there what they answer."""
    his, account = scene.mallory.grant.consumers[0], scene.ann.made.row.account
    guessed = f"{scene.ann.made.row.key.hex}{'0' * 32}-1"  # he may know the key's id, but not the rest
    targets = [
        f"events.{account}.own.run.x.forged.v1",
        "internal",
        *(f"$JS.API.STREAM.{verb}.EVENTS" for verb in ("PURGE", "DELETE", "UPDATE")),
        *(f"$JS.{DOMAIN}.API.STREAM.{verb}.EVENTS" for verb in ("PURGE", "DELETE", "UPDATE")),
        *(f"{API}.{verb}.EVENTS.{guessed}" for verb in ("DELETE", "RESET", "MSG.NEXT", "INFO")),
        *(f"$JS.API.CONSUMER.{verb}.EVENTS.{guessed}" for verb in ("DELETE", "RESET", "MSG.NEXT")),
        f"{API}.CREATE.EVENTS.{his}.events.>",
        f"$JS.API.CONSUMER.CREATE.EVENTS.{his}.events.>",
        f"integrators.create.{his}.events.>",
        f"$JS.ACK.EVENTS.{guessed}.1.1.1.1.0",
        f"{scene.ann.grant.inbox}.x",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.SERVER.PING",
        "runs.claim.gpu-1",
    ]
    create = f"{API}.CREATE.EVENTS.{his}.{scene.mallory.grant.filters[0]}"
    wish = {
        "stream_name": "EVENTS",
        "config": {
            "name": his,
            "durable_name": his,
            "filter_subject": scene.mallory.grant.filters[0],
            "ack_policy": "explicit",
            "ack_wait": 1_000_000,
        },
    }
    pull = f"{API}.MSG.NEXT.EVENTS.{his}"
    async with scene.mallory.open() as session:
        await subscribed(session, scene.mallory, scene.mallory.grant.filters[0])
        for target in targets:
            for subject, body in (
                (create, wish),
                (pull, {"batch": 1, "expires": 10_000_000}),
                (pull, {"batch": 100, "no_wait": True}),
                (pull, {"batch": 100, "expires": 300_000_000, "idle_heartbeat": 50_000_000}),
                (f"{API}.INFO.EVENTS.{his}", {}),
                (f"{API}.RESET.EVENTS.{his}", {"seq": 4}),
                (f"{API}.DELETE.EVENTS.{his}", {}),
                (create, wish),
            ):
                await session.client.publish(subject, json.dumps(body).encode(), reply=target)
            await session.client.publish(f"$JS.ACK.EVENTS.{his}.1.4.1.1.0", b"+NXT", reply=target)
            await session.client.publish(f"$JS.ACK.EVENTS.{his}.1.4.1.1.0", b"+ACK", reply=target)
        await asyncio.sleep(0.5)  # the heartbeats
        assert session.client.is_connected
        assert all("publish with reply of" in error for error in session.errors)  # these the server sees
    await scene.unharmed()


@pytest.mark.parametrize(
    "change",
    [
        {"deliver_subject": "$JS.API.STREAM.PURGE.EVENTS"},
        {"deliver_subject": "_INBOX.x", "flow_control": True, "idle_heartbeat": 100_000_000},
        {"deliver_group": "g"},
        {"filter_subject": "events.>"},
        {"filter_subject": ""},
        {"filter_subjects": ["events.>"]},
        {"name": "other"},
        {"durable_name": "other"},
        {"mem_storage": True},
        {"num_replicas": 3},
        {"max_ack_pending": 1_000_000},
        {"priority_groups": ["g"], "priority_policy": "pinned_client"},
        {"replay_policy": "original"},
        {"sample_freq": "100%"},
        {"metadata": {"x": "y" * 10_000}},
        {"metadata": {str(n): "y" for n in range(1000)}},
        {"deliver_policy": "last_per_subject"},
        {"unheard": "of"},
    ],
    ids=lambda change: ",".join(change),
)
async def test_no_other_consumer_is_made_than_a_pulling_one_of_ones_own(
    scene: Scene, change: dict[str, Any]
) -> None:
    name, filter = scene.mallory.grant.consumers[1], scene.mallory.grant.filters[0]
    config = {"name": name, "durable_name": name, "filter_subject": filter, "ack_policy": "explicit"}
    for wish in ({"stream_name": "EVENTS", "config": config | change}, {"stream_name": "EVENTS", **change}):
        async with scene.mallory.open() as session:
            subject = f"{API}.CREATE.EVENTS.{name}.{filter}"
            answer = await session.client.request(subject, json.dumps(wish).encode(), timeout=20)
            assert "error" in json.loads(answer.data)
            with pytest.raises(JetStreamError):
                await session.client.jetstream(domain=DOMAIN).consumer_info("EVENTS", name)


async def test_a_consumers_limits_are_ours_whatever_is_asked(scene: Scene) -> None:
    name, filter = scene.mallory.grant.consumers[0], scene.mallory.grant.filters[0]
    async with scene.mallory.open() as session:
        jetstream = session.client.jetstream(domain=DOMAIN)
        config = ConsumerConfig(name=name, filter_subject=filter, ack_policy=AckPolicy.EXPLICIT)
        made = (await jetstream.add_consumer("EVENTS", config)).config
        assert made.inactive_threshold == 30 * 86_400
        body = json.dumps({"batch": 1_000_000}).encode()
        answer = await session.client.request(f"{API}.MSG.NEXT.EVENTS.{name}", body, timeout=20)
        assert answer.headers is not None
        assert answer.headers["Status"] == "409"


async def test_a_large_message_ends_the_connection_and_harms_nobody(scene: Scene) -> None:
    async with scene.mallory.open() as session:
        subject = f"{API}.INFO.EVENTS.{scene.mallory.grant.consumers[0]}"
        with contextlib.suppress(nats.errors.Error):
            await session.client.publish(subject, b"x" * 200_000)
        async with asyncio.timeout(30):
            await session.closed.wait()
    await scene.unharmed()


async def test_a_jwt_of_ones_own_or_of_somebody_else_opens_nothing(scene: Scene) -> None:
    now = int(datetime.now(UTC).timestamp())
    user = {"type": "user", "version": 2, "pub": {}, "sub": {}}
    for issuer in (Issuer(b"m" * 32), scene.house.issuer):  # even one that we had signed is no key
        token = issuer.sign(subject=issuer.public, audience=INTEG, issued_at=now, exp=now + 60, nats=user)
        for options in ({"jwt": token, "sig": "x"}, {"auth_token": token}, {"user": "app", "pass": token}):
            assert "authorization violation" in await said_to(scene.house, options)
    for options in (
        {},
        {"user": "app"},
        {"user": "feed", "pass": ""},
        {"user": "auth", "pass": "x"},
        {"user": "sys", "pass": scene.mallory.made.text[:-1]},
        {"auth_token": scene.mallory.made.row.key.hex},
        {"nkey": scene.house.issuer.public, "sig": "x"},
        {"auth_token": {"$gt": ""}},
        {"auth_token": "\x00"},
    ):
        assert "pong" not in await said_to(scene.house, options)


async def test_a_key_is_no_password_of_ours(scene: Scene) -> None:
    for name in ("app", "feed", "auth", "sys", "gpu-1"):
        with pytest.raises(nats.errors.Error):
            async with scene.mallory.open(token=None, user=name, password=scene.mallory.made.text):
                pass
    await scene.unharmed()


async def test_an_executor_has_nothing_to_do_with_integrators(scene: Scene) -> None:
    account = scene.ann.made.row.account
    opening = connect(
        scene.house.url, name="gpu-1", user="gpu-1", password=PASSWORD, inbox_prefix="_INBOX_gpu-1"
    )
    async with await opening as executor:
        errors: list[str] = []

        async def tell(error: Exception) -> None:
            errors.append(str(error))

        executor.client._error_cb = tell
        subjects = [
            f"events.{account}.own.run.x.forged.v1",
            f"{API}.DELETE.EVENTS.{scene.ann.grant.consumers[0]}",
            f"{API}.MSG.NEXT.EVENTS.{scene.ann.grant.consumers[0]}",
            "$JS.API.STREAM.PURGE.EVENTS",
            "$SYS.REQ.USER.AUTH",
            "$SYS.REQ.SERVER.PING.CONNZ",
            "integrators.create.x.events.>",
        ]
        for subject in subjects:
            await executor.client.publish(subject, b"{}")
        for target in (f"events.{account}.own.run.x.y", "$JS.API.STREAM.PURGE.EVENTS"):
            await executor.client.publish("runs.claim.gpu-1", b"{}", reply=target)
        async with asyncio.timeout(30):
            while len(errors) < len(subjects):
                await asyncio.sleep(0.01)
    await scene.unharmed()


async def test_where_nobody_answers_for_integrators_our_own_users_come_in(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        async with asyncio.timeout(30):
            for user in ("app", "feed", "gpu-1", "sys"):
                async with await connect(house.url, name=user, user=user, password=PASSWORD) as connection:
                    assert connection.connected
        integrator = await house.key(await house.account())
        with pytest.raises((nats.errors.Error, TimeoutError, OSError)):
            async with integrator.open(connect_timeout=1):
                pass
    finally:
        house.kill()


async def test_who_stops_reading_holds_up_nobody(scene: Scene) -> None:
    """mallory pulls and never reads; the publisher goes on, and ann gets all of hers."""
    house, account = scene.house, scene.ann.made.row.account
    his, hers = scene.mallory.grant.consumers, scene.ann.grant.filters[0]
    async with scene.mallory.open() as session:
        for number in range(len(his)):
            await subscribed(session, scene.mallory, scene.mallory.grant.filters[0], number)
    reader, writer = await asyncio.open_connection(urlsplit(house.url).hostname, urlsplit(house.url).port)
    reader._limit = 1  # type: ignore[attr-defined]  # hardly anything is taken from the socket
    options = json.dumps({"auth_token": scene.mallory.made.text, "verbose": False, "headers": True})
    pulls = "".join(
        f"PUB {API}.MSG.NEXT.EVENTS.{name} {scene.mallory.grant.inbox}.x 14\r\n" + '{"batch":1000}\r\n'
        for name in his
        for _ in range(100)
    )
    writer.write(f"CONNECT {options}\r\nSUB {scene.mallory.grant.inbox}.> 1\r\n{pulls}".encode())
    await writer.drain()
    events = [RunStarted(epoch=n, backend="b" * 2000) for n in range(1, 2001)]
    await happen(house.log, scene.mallory.made.row.account, *events)
    await happen(house.log, account, *events)
    async with asyncio.timeout(30):
        while (await house.stored()).last_seq < 4004:
            await asyncio.sleep(0.05)
        async with scene.ann.open() as session:
            assert len(await consume(session, scene.ann, hers, upto=4004)) == 2003
    writer.close()


async def test_a_lost_stream_is_filled_again_with_the_same_numbers(scene: Scene) -> None:
    house = scene.house
    await house.feed.client.jetstream().delete_stream("EVENTS")
    async with asyncio.timeout(60):
        while True:
            try:
                if (await house.stored()).last_seq == 4:
                    break
            except JetStreamError:
                pass
            await asyncio.sleep(0.05)
    await scene.unharmed()


async def test_two_publishers_and_a_killed_server_leave_each_event_once(tmp_path: Path) -> None:
    """Neither of the two knows of the other: no leader lock holds them apart."""
    from adapters.nats.events import NatsEventStream
    from adapters.nats.public_events import PUBLIC, SETTINGS

    house = House(tmp_path)
    house.log = ListLog(leaders=False)
    try:
        async with house.open():
            second = Relay(house.log, NatsEventStream(house.feed, SETTINGS, PUBLIC), SOON)
            beside = asyncio.create_task(second.run())
            ann = await house.account()
            for _ in range(4):
                await happen(house.log, ann, *(RunStarted(epoch=n, backend="a") for n in range(1, 150)))
                await asyncio.sleep(0.02)
                house.kill()
                house.restart()
            total = len(house.log.stored)
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(JetStreamError, nats.errors.Error, OSError):
                        if (await house.stored()).last_seq == total:
                            break
                    await asyncio.sleep(0.05)
            integrator = await house.key(ann)
            async with asyncio.timeout(30):
                while True:
                    with contextlib.suppress(nats.errors.Error, JetStreamError, OSError):
                        async with integrator.open() as session:
                            found = await consume(
                                session, integrator, integrator.grant.filters[0], upto=total
                            )
                            break
                    await asyncio.sleep(0.1)
            assert [Position(at) for at, _ in found] == list(range(1, total + 1))
            beside.cancel()
            await asyncio.wait([beside])
    finally:
        house.kill()


@pytest.mark.parametrize(
    ("filter", "allowed", "inside"),
    [
        ("events.a.>", "events.a.>", True),
        ("events.a.own.run.>", "events.a.>", True),
        ("events.a", "events.a.>", False),
        ("events.*.>", "events.a.>", False),
        ("events.>", "events.a.>", False),
        (">", "events.a.>", False),
        ("events.*.public.>", "events.*.public.>", True),
        ("events.b.public.workflow.>", "events.*.public.>", True),
        ("events.b.*.>", "events.*.public.>", False),
        ("events.b.>", "events.*.public.>", False),
        ("events.b.own.x", "events.*.public.>", False),
        ("internal", "events.>", False),
        ("", "events.>", False),
    ],
)
def test_a_filter_lies_within_another_one_or_not(filter: str, allowed: str, inside: bool) -> None:
    assert within(filter, allowed) == inside


async def test_a_scope_for_everything_is_for_administrators(scene: Scene) -> None:
    from domain.refusals import NotAllowed

    with pytest.raises(NotAllowed):
        await scene.house.key(scene.mallory.made.row.account, Scope.ALL_EVENTS)


async def told_of(session: Session, errors: int) -> None:
    async with asyncio.timeout(30):
        while len(session.errors) < errors:
            await asyncio.sleep(0.01)


async def said_to(house: House, options: dict[str, Any]) -> str:
    """What the server says to somebody who connects like this, until it hangs up or falls silent."""
    at = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
    said = b""
    try:
        async with asyncio.timeout(30):
            while b"-ERR" not in said and b"PONG" not in said and (more := await reader.read(4096)):
                said += more
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return said.decode().lower().replace("-err", "-ERR")
