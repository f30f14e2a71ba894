"""Administrators are shown whether the log is what was sealed; health says so when it is not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg
import pytest

from adapters.identity.signing import is_signed
from adapters.postgres.seals import PostgresAudits
from domain.account import Role
from domain.checkpoint import statement
from domain.ids import Position
from domain.seal import Fault, FaultKind, Link
from infra.admin import give_role
from services.ports.sealing import Finding
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole
from tests.log.ground import now


@pytest.fixture
async def admin(served: Whole) -> AsyncIterator[Person]:
    async with joined(served) as person:
        await grant(served, person)
        yield person


@pytest.fixture
def audits(served: Whole) -> Iterator[PostgresAudits]:
    """Nothing was looked at before, and nothing is known afterwards."""
    with closing(PostgresAudits(served.database.url)) as opened:
        opened.forget()
        yield opened
        opened.forget()


async def grant(served: Whole, person: Person) -> None:
    assert await asyncio.to_thread(give_role, served.settings, person.name, Role.ADMIN) == 0


async def test_nothing_is_known_before_the_first_look(admin: Person, audits: PostgresAudits) -> None:
    told = await admin.get("/admin/audit")
    assert (told["verdict"], told["tail"], told["round"]) == ("unknown", None, None)
    health = (await admin.http.get("/health/detailed")).json()["parts"]["audit"]
    assert health == {"status": "ok", "detail": "not looked at yet"}


async def test_an_administrator_sees_how_far_the_log_was_verified(
    admin: Person, audits: PostgresAudits
) -> None:
    seal = bytes(range(32))
    audits.keep("tail", Finding(link=Link(Position(7), seal), at=now()))
    told = await admin.get("/admin/audit")
    assert told["verdict"] == "sound"
    assert told["head"] > 0
    assert (told["tail"]["position"], told["tail"]["seal"], told["tail"]["fault"]) == (7, seal.hex(), None)


async def test_a_broken_chain_fails_health_with_the_position_and_readiness_not(
    admin: Person, nobody: Person, audits: PostgresAudits
) -> None:
    fault = Fault(Position(41), FaultKind.CHANGED, "The event is not the one that was sealed.")
    audits.keep("tail", Finding(at=now()))
    audits.keep("round", Finding(at=now(), fault=fault, since=now()))
    health = (await nobody.http.get("/health/detailed")).json()
    assert (health["status"], health["parts"]["audit"]["status"]) == ("failing", "failing")
    assert "position 41: changed" in health["parts"]["audit"]["detail"]
    assert (await nobody.http.get("/health/ready")).status_code == 200
    told = await admin.get("/admin/audit")
    assert (told["verdict"], told["round"]["fault"]["position"], told["round"]["fault"]["kind"]) == (
        "broken",
        41,
        "changed",
    )
    assert "position 41" in refused(await admin.ask("GET", "/admin/audit/checkpoint"), 409)["detail"]


async def test_a_checkpoint_is_signed(served: Whole, admin: Person, audits: PostgresAudits) -> None:
    made = await admin.get("/admin/audit/checkpoint")
    said = statement(made["log"], made["position"], made["seal"], made["at"])
    assert is_signed(said, made["signature"], made["public_key"])
    with psycopg.connect(served.database.url) as owner:
        ((seal,),) = owner.execute(
            "SELECT seal FROM log.seals WHERE last_position = %s", (made["position"],)
        ).fetchall()
    assert seal.hex() == made["seal"]
    assert (await admin.get("/admin/audit/checkpoint"))["public_key"] == made["public_key"]
    key = served.settings.data / "keys" / "audit.key"
    assert key.stat().st_mode & 0o777 == 0o600
