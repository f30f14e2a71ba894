"""Senders are killed at random moments, two at a time or one: nothing is lost, and nothing changes its place."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from multiprocessing.process import BaseProcess
from uuid import UUID

import psycopg
import pytest

from commands.ports import LogUnavailableError
from domain.ids import Position
from tests.terminal import ALREADY_LOADED
from tests.webhooks.ground import Ground
from tests.webhooks.process import send
from tests.webhooks.receiver import Receiver, Reply

PEOPLE = 3


class Sending:
    """Processes that are killed and started anew."""

    def __init__(self, ground: Ground, receiver: Receiver, dice: random.Random) -> None:
        self._environment = ground.settings.to_environment()
        self._receiver = receiver
        self._dice = dice
        self._running: list[BaseProcess] = []

    def start(self) -> None:
        process = ALREADY_LOADED.Process(target=send, args=(self._environment,))
        process.start()
        self._running.append(process)

    async def kill_one(self) -> None:
        """When something has been sent since, and a moment later."""
        seen = len(self._receiver.got)
        await self._receiver.until(lambda: len(self._receiver.got) > seen + self._dice.randrange(10))
        await asyncio.sleep(self._dice.random() * 0.3)
        self._kill(self._running.pop(self._dice.randrange(len(self._running))))

    def end(self) -> None:
        while self._running:
            self._kill(self._running.pop())

    def _kill(self, process: BaseProcess) -> None:
        assert process.exitcode is None, "a sender has died by itself"
        process.kill()
        process.join()
        process.close()


@asynccontextmanager
async def killable(ground: Ground, receiver: Receiver, dice: random.Random) -> AsyncIterator[Sending]:
    senders = Sending(ground, receiver, dice)
    try:
        yield senders
    finally:
        senders.end()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("rounds", "senders"),
    [
        (4, 1),
        (4, 2),
        pytest.param(120, 1, marks=pytest.mark.soak),
        pytest.param(120, 2, marks=pytest.mark.soak),
    ],
)
async def test_killed_senders_lose_nothing_and_keep_the_order(
    ground: Ground, receiver: Receiver, rounds: int, senders: int
) -> None:
    seed = random.randrange(10**9)
    print("seed", seed)
    dice = random.Random(seed)
    receiver.answer = lambda got: Reply(500 if dice.random() < 0.2 else 200, delay_s=dice.random() * 0.03)
    people = [await ground.person() for _ in range(PEOPLE)]
    ordered = [await ground.webhook(each, f"{receiver.url}/ordered/{n}") for n, each in enumerate(people)]
    loose = [
        await ground.webhook(each, f"{receiver.url}/loose/{n}", ordered=False)
        for n, each in enumerate(people)
    ]
    happened: dict[int, list[Position]] = {number: [] for number in range(PEOPLE)}
    over = asyncio.Event()

    async def live() -> None:
        """Something happens all the time."""
        number = 0
        while not over.is_set():
            number += 1
            who = dice.randrange(PEOPLE)
            happened[who].append(await ground.change(people[who], f"{number}"))
            await asyncio.sleep(dice.random() * 0.05)

    async with killable(ground, receiver, dice) as processes:
        living = asyncio.create_task(live())
        for _ in range(senders):
            processes.start()
        for _ in range(rounds):
            await processes.kill_one()
            processes.start()
        over.set()
        await living
        for number in range(PEOPLE):
            for webhook in (ordered[number].webhook, loose[number].webhook):
                await ground.until(webhook, *["delivered"] * len(happened[number]), patience_s=180)

    ((log,),) = await ground.sql("SELECT id FROM log.identity")
    for number in range(PEOPLE):
        positions = happened[number]
        taken = [got.position for got in receiver.taken if got.path == f"/ordered/{number}"]
        sent = [got.position for got in receiver.at(f"/ordered/{number}")]
        assert [position for position, _ in groupby(taken)] == positions  # repeats are of the one under way
        assert [position for position, _ in groupby(sent)] == positions
        assert receiver.most_at_once[f"/ordered/{number}"] == 1
        loosely = [got for got in receiver.taken if got.path == f"/loose/{number}"]
        assert sorted({got.position for got in loosely}) == positions
        for got in receiver.got:
            assert got.id == f"evt_{log.hex}_{got.event['id']}"
        await check_rows(ground, ordered[number].webhook, positions)
        await check_rows(ground, loose[number].webhook, positions)


async def check_rows(ground: Ground, webhook: UUID, positions: list[Position]) -> None:
    """One row an event, each ended, nothing left to do and nobody's lease that matters."""
    rows = await ground.sql(
        "SELECT position, state, status, next_at FROM work.webhook_deliveries WHERE webhook = %s ORDER BY position",
        webhook,
    )
    assert rows == [(position, "delivered", 200, None) for position in positions]


async def test_a_database_that_goes_away_is_waited_for(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/ordered/0")
    async with killable(ground, receiver, random.Random(1)) as processes:
        processes.start()
        positions: list[Position] = []
        for _ in range(4):
            positions += await ground.happen(ann, 5)
            enough = len(positions) - 2
            await receiver.until(partial(taken_at_least, receiver, enough))
            async with await psycopg.AsyncConnection.connect(ground.database.url, autocommit=True) as owner:
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await reachable(ground)
        await ground.until(made.webhook, *["delivered"] * 20)
    assert [position for position, _ in groupby(got.position for got in receiver.taken)] == positions


def taken_at_least(receiver: Receiver, events: int) -> bool:
    return len({got.id for got in receiver.taken}) >= events


async def reachable(ground: Ground) -> None:
    """Our own connections were cut too."""
    async with asyncio.timeout(60):
        while True:
            try:
                await ground.dispatcher.needs.webhooks.head()
                await ground.dispatcher.needs.streams.log.at(Position(1))
                return
            except LogUnavailableError:
                await asyncio.sleep(0.1)
