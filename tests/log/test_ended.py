"""Who has left is refused by every process, as soon as it can know."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres.tail import PostgresTail
from commands.ports import LogUnavailableError
from domain.account import (
    AccountErased,
    AccountLoggedIn,
    AccountLoggedOut,
    EmailChanged,
    PasswordChanged,
    SessionRevoked,
    SessionsEnded,
)
from domain.api_key import ApiKeyRevoked
from domain.event import Event, topic
from domain.ids import AccountId, ApiKeyId, Position, SessionId
from services.ended import SKEW, EndedSessions
from tests.log.conftest import postgres_logs
from tests.log.ground import Logs, write
from tests.servers import Database

LIVES = timedelta(minutes=15)
INSERT = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, actor,
    correlation)
SELECT gen_random_uuid(), 1, 'name.reserved.v1', '{}', n, %s + n / 3 * interval '1 second', 'tests', gen_random_uuid()
FROM generate_series(1, %s) AS n
"""
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def tail(database: Database) -> AsyncIterator[PostgresTail]:
    async with PostgresTail(database.url_of("comfyplus_app")) as opened:
        yield opened


@pytest.mark.parametrize("count", [0, 1, 2, 50])
async def test_an_instant_is_found_in_the_log(database: Database, tail: PostgresTail, count: int) -> None:
    with psycopg.connect(database.url) as owner:
        owner.execute(INSERT, (NOON, count))
    for second in range(-1, count // 3 + 2):
        at = NOON + timedelta(seconds=second)
        before = sum(number // 3 < second for number in range(1, count + 1))
        assert await tail.position_at(at) == before


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("kind", [AccountLoggedOut, SessionRevoked], ids=topic)
async def test_an_ended_session_is_over_and_no_other(
    database: Database, tail: PostgresTail, clock: Clock, kind: type[Event]
) -> None:
    account, ended_one, other = AccountId(uuid4()), SessionId(uuid4()), SessionId(uuid4())
    async with postgres_logs(database) as logs:
        early = EndedSessions(tail, clock, LIVES)
        await early.begin()
        await told(logs, account, AccountLoggedIn(session=ended_one), kind(session=ended_one))
        late = EndedSessions(tail, clock, LIVES)
        for each in (early, late):
            await each.catch_up()
            assert each.is_over(account, ended_one)
            assert not each.is_over(account, other)
            assert not each.is_over(account)


async def test_an_erased_account_is_over_with_all_its_sessions(
    database: Database, tail: PostgresTail, clock: Clock
) -> None:
    account, other = AccountId(uuid4()), AccountId(uuid4())
    ended = EndedSessions(tail, clock, LIVES)
    async with postgres_logs(database) as logs:
        await told(logs, account, AccountErased())
        await ended.catch_up()
        assert ended.is_over(account, SessionId(uuid4()))
        assert not ended.is_over(other, SessionId(uuid4()))


@pytest.mark.parametrize(
    "begun",
    [
        PasswordChanged(password=uuid4(), kept=None, epoch=3),
        EmailChanged(email=uuid4(), kept=None, epoch=3),
        SessionsEnded(kept=None, epoch=3),
    ],
    ids=topic,
)
async def test_tokens_of_an_earlier_epoch_are_over(
    database: Database, tail: PostgresTail, clock: Clock, begun: Event
) -> None:
    account, session = AccountId(uuid4()), SessionId(uuid4())
    ended = EndedSessions(tail, clock, LIVES)
    async with postgres_logs(database) as logs:
        await told(logs, account, begun)
        await ended.catch_up()
        assert ended.is_over(account, session, 2)
        assert not ended.is_over(account, session, 3)
        assert not ended.is_over(AccountId(uuid4()), session, 0)
        ended.renew(account, 4)
        assert ended.is_over(account, session, 3)
        ended.renew(account, 2)  # told late
        assert not ended.is_over(account, session, 4)


async def test_a_key_that_was_revoked_is_over(database: Database, tail: PostgresTail, clock: Clock) -> None:
    account, key = AccountId(uuid4()), ApiKeyId(uuid4())
    ended = EndedSessions(tail, clock, LIVES)
    async with postgres_logs(database) as logs:
        await told(logs, AccountId(key), ApiKeyRevoked())
        await ended.catch_up()
        assert ended.is_over(account, key)
        assert not ended.is_over(account, ApiKeyId(uuid4()))


async def test_what_no_token_can_outlive_is_forgotten(
    database: Database, tail: PostgresTail, clock: Clock
) -> None:
    account, session = AccountId(uuid4()), SessionId(uuid4())
    ended = EndedSessions(tail, clock, LIVES)
    async with postgres_logs(database) as logs:
        await told(logs, account, AccountLoggedOut(session=session))
        await ended.catch_up()
        clock.ahead = LIVES + SKEW / 2
        await told(logs, AccountId(uuid4()), AccountErased())
        await ended.catch_up()
        assert ended.is_over(account, session)
        clock.ahead = LIVES + 2 * SKEW
        await told(logs, AccountId(uuid4()), AccountErased())
        await ended.catch_up()
        assert not ended.is_over(account, session)


async def test_before_the_log_was_read_nobody_is_let_in(clock: Clock) -> None:
    async with PostgresTail("postgresql://nobody@127.0.0.1:1/nothing") as away:
        ended = EndedSessions(away, clock, LIVES)
        await ended.begin()
        with pytest.raises(LogUnavailableError):
            ended.is_over(AccountId(uuid4()))


async def told(logs: Logs, account: AccountId, *events: Event) -> Position:
    return (await logs.append(write(account, 0, *events))).last
