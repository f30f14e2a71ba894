"""What a deleted account leaves behind is removed soon after, whoever is killed meanwhile."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from adapters.storage.erasures import ErasureFile
from domain.ids import AccountId
from infra.erasing import erasing
from infra.settings import Settings
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import Person, joined, somebody
from tests.http.test_erasure import erased
from tests.http.whole import Whole, beside


def hasty(whole: Whole) -> Settings:
    return replace(whole.settings, lease_s=0.2)


def unfinished(whole: Whole) -> object:
    return value(whole, "SELECT count(*) FROM work.erasing")


def stored(whole: Whole, body: bytes) -> bool:
    digest = hashlib.sha256(body).hexdigest()
    return (whole.settings.data / "objects" / digest[:2] / digest).is_file()


async def test_files_go_unless_somebody_else_needs_them(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        await drawn(own, ann, b"hers", b"both")
        await drawn(own, ann, lost=b"hers, lost")
        await drawn(own, bob, b"his", b"both")
        with beside(errand(lambda: erasing(hasty(own)))):
            await erased(ann)
            await eventually(lambda: _is(lambda: not stored(own, b"hers")))
            await eventually(lambda: _is(lambda: unfinished(own) == 0))
            assert not stored(own, b"small hers")
            assert not stored(own, b"hers, lost")
            assert all(stored(own, body) for body in (b"both", b"small both", b"his"))
            await erased(bob)
            await eventually(lambda: _is(lambda: not stored(own, b"both")))


@pytest.mark.parametrize("published", ["keep", "delete"])
async def test_runs_are_cancelled_and_workflows_deleted(own: Whole, published: str) -> None:
    async with joined(own) as ann, joined(own) as bob:
        public, private = await ann.workflow("Public", public=True), await ann.workflow("Private")
        forms = [await ann.template(private), await ann.template(public, public=True)]
        presets = [
            (await ann.post("/presets", {"name": "a", "public": shown}))["id"] for shown in (False, True)
        ]
        runs = [await ann.run(private) for _ in range(3)]
        bobs = await bob.run(public)
        await erased(ann, published=published)  # before the errand runs at all
        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(
                lambda: _is(
                    lambda: value(own, "SELECT position FROM work.checkpoints WHERE name = 'erasing'") != 0
                )
            )
            await eventually(lambda: _is(lambda: unfinished(own) == 0))
        for run in runs:
            cancelled = (
                "SELECT count(*) FROM log.events WHERE originator_id = %s AND topic = 'run.cancelled.v1'"
            )
            assert value(own, cancelled, run) == 1
        assert (await bob.get(f"/runs/{bobs}"))["status"] == "queued"
        assert (await bob.ask("GET", f"/workflows/{private}")).status_code == 404
        gone = 404 if published == "delete" else 200
        assert (await bob.ask("GET", f"/workflows/{public}")).status_code == gone
        found = [(await bob.ask("GET", f"/templates/{form}")).status_code for form in forms]
        found += [(await bob.ask("GET", f"/presets/{preset}")).status_code for preset in presets]
        assert found == [404, gone] * 2


async def test_an_erasure_whose_request_died_is_finished(own: Whole) -> None:
    """Of the request only the events are left."""
    async with joined(own) as ann, joined(own) as bob:
        key = value(own, "SELECT key FROM work.account_keys WHERE account = %s", ann.id)
        await erased(ann)
        with psycopg.connect(own.database.url, autocommit=True) as connection:
            connection.execute("INSERT INTO work.account_keys (account, key) VALUES (%s, %s)", (ann.id, key))
        (own.settings.data / "erasures.jsonl").unlink()
        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(lambda: _is(lambda: _keys(own) == 1))
        noted = await ErasureFile(own.settings.data / "erasures.jsonl").noted()
        assert list(noted) == [AccountId(UUID(ann.id))]
        assert (await bob.get("/auth/me"))["id"] == bob.id


async def test_who_is_on_the_list_is_erased_in_a_log_that_was_restored(own: Whole) -> None:
    """The backup is from before the erasure: only the list, kept elsewhere, knows of it."""
    async with joined(own) as ann, joined(own) as bob:
        await ErasureFile(own.settings.data / "erasures.jsonl").note(
            AccountId(UUID(ann.id)), datetime.now(UTC)
        )
        await ErasureFile(own.settings.data / "erasures.jsonl").note(
            AccountId(UUID(int=5)), datetime.now(UTC)
        )
        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(lambda: _is(lambda: _keys(own) == 1))
        await eventually(lambda: _refused(ann))
        assert (await bob.get("/auth/me"))["id"] == bob.id
        async with somebody(own) as heir:
            heir.name = ann.name
            await heir.register()


async def _refused(person: Person) -> bool:
    return (await person.ask("GET", "/auth/me")).status_code == 401


def _keys(whole: Whole) -> object:
    return value(whole, "SELECT count(*) FROM work.account_keys")


async def _is(holds: Callable[[], bool]) -> bool:
    return holds()
