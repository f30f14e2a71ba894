"""Filling a log fast: real events of real shapes, copied in as their owner, in the order they would have come."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from random import Random
from uuid import UUID

import psycopg

from bench import stories
from domain.catalogue import CATALOGUE
from domain.event import Event, topic
from domain.ids import AccountId, limits_id
from domain.limits import LimitsSet
from domain.workflow import Requirements
from infra.wiring import new_id

COPY = """
COPY log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, owner, actor,
    correlation, causation) FROM STDIN (FORMAT binary)
"""
MODELS = 12
TYPES = ("uuid", "int8", "text", "bytea", "int8", "timestamptz", "uuid", "text", "uuid", "int8")
BEGUN = datetime(2026, 11, 21, tzinfo=UTC)

Told = tuple[UUID, int, AccountId, Event]
"""Stream, version, owner and what happened."""


def fill(url: str, told: Iterable[Told]) -> int:
    """Write into an empty log; returns the last position. Statistics are up to date afterwards."""
    position = 0
    with psycopg.connect(url) as owner, owner.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for position, (stream, version, account, event) in enumerate(told, 1):
            at = BEGUN + timedelta(milliseconds=position)
            actor = stories.actor(event, account)
            state = CATALOGUE.encode(event)
            copy.write_row((stream, version, topic(event), state, position, at, account, actor, stream, None))
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SELECT log.seal_the_rest()")
        owner.execute("VACUUM ANALYZE log.events")
        owner.execute("CHECKPOINT")
    return position


def runs_in_turn(events: int, at_once: int) -> Iterator[Told]:
    """Runs from submission to end, so many under way at once and each event on the next of them.

    However large a batch of consecutive events is, below `at_once` it never meets a run twice.
    """
    left = events
    while left > 0:
        streams = [(new_id(), stories.OWNERS[number % len(stories.OWNERS)]) for number in range(at_once)]
        lives = [stories.run(owner) for _, owner in streams]
        for version in range(len(lives[0])):
            for (stream, owner), life in zip(streams, lives, strict=True):
                if left <= 0:
                    return
                yield stream, version + 1, owner, life[version]
                left -= 1


def runs_of_a_pool(events: int, waiting: int, executing: int) -> Iterator[Told]:
    """Runs as a pool of backends works them off: the oldest waiting one first, and for each another is submitted.

    Those that execute go on at random, in the same order each time.
    """
    return islice(_pool(waiting, executing), events)


def waiting_runs(count: int) -> Iterator[Told]:
    """Submitted runs of any priority and of a few models each. Their owners' weights differ, and some have far more."""
    chance = Random(1)
    for owner in stories.OWNERS[::2]:
        weight = chance.choice((0.5, 2.0, 4.0))
        yield limits_id(owner), 1, owner, LimitsSet(account=owner, weight=weight, reason="As agreed.")
    for number in range(count):
        owner = stories.OWNERS[min(number % len(stories.OWNERS), chance.randrange(len(stories.OWNERS)))]
        needed = Requirements(
            stories.NEEDED.node_classes, (f"checkpoints/{chance.randrange(MODELS)}.safetensors",)
        )
        yield new_id(), 1, owner, stories.submitted(owner, needed, chance.randint(1, 10))


def _pool(waiting: int, executing: int) -> Iterator[Told]:
    lives = (_life(number) for number in count())
    queue = deque(islice(lives, waiting + executing))
    for submitted in queue:
        yield next(submitted)
    going, chance = [queue.popleft() for _ in range(executing)], Random(1)
    while True:
        place = chance.randrange(executing)
        if (told := next(going[place], None)) is not None:
            yield told
            continue
        going[place] = queue.popleft()
        queue.append(next_life := next(lives))
        yield next(next_life)


def _life(number: int) -> Iterator[Told]:
    """A run from submission to end; the owners in turn."""
    stream, owner = new_id(), stories.OWNERS[number % len(stories.OWNERS)]
    for version, event in enumerate(stories.run(owner), 1):
        yield stream, version, owner, event
