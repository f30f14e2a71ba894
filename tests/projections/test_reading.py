"""Queries answer what the account may see, page by page."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import msgspec
import psycopg
import pytest

from domain.ids import AccountId, RunId, WorkflowId
from domain.refusals import Invalid
from projections import audit_trail, gallery, paging, run_status, workflow_shelf
from projections.rebuild import rebuild
from projections.run_pages import RunFilters
from tests.projections.ground import PROJECTIONS, Books, connecting, reading
from tests.projections.stories import ANN, BOB, everything, joined, run, workflow
from tests.servers import Database, copied

VIEWS = [table.name for projection in PROJECTIONS.values() for table in projection.tables]


async def told(database: Database, books: Books) -> None:
    books.add(*everything())
    for projection in PROJECTIONS.values():
        await rebuild(projection, connecting(database))


@pytest.fixture(scope="module")
def everybodys(postgres_url: str, database_template: str) -> Iterator[Books]:
    """A log of which every read model has been told, for all who only read."""
    with copied(postgres_url, database_template) as database, closing(Books(database)) as books:
        asyncio.run(told(database, books))
        yield books


def decoded(body: bytes | None) -> dict[str, object]:
    assert body is not None
    return msgspec.json.decode(body, type=dict[str, object])


async def owners(database: Database, account: AccountId | None, view: str) -> list[object]:
    """Whose rows a query without WHERE gives."""
    async with reading(database) as reader, reader.for_account(account) as cursor:
        column = {"backends": "name", "workflow_lines": "workflow"}.get(view, "owner")
        await cursor.execute(f"SELECT {column} FROM read.{view}".encode())
        return [owner for (owner,) in await cursor.fetchall()]


async def test_a_query_without_where_leaks_nothing(everybodys: Books) -> None:
    database = everybodys.database
    for view in ("runs", "outputs", "audit_trail"):
        assert set(await owners(database, ANN, view)) == {ANN}
        assert set(await owners(database, BOB, view)) == {BOB}
        assert await owners(database, AccountId(uuid4()), view) == []
        assert await owners(database, None, view) == []
    assert len(await owners(database, ANN, "workflows")) == 3
    assert len(await owners(database, BOB, "workflows")) == 4
    assert [len(await owners(database, who, "workflow_lines")) for who in (ANN, BOB, None)] == [0, 3, 0]
    assert len(await owners(database, None, "workflows")) == 2
    assert len(await owners(database, None, "workflow_versions")) == 2
    assert len(await owners(database, None, "gallery")) == 2
    assert len(await owners(database, ANN, "templates")) == 2
    assert len(await owners(database, BOB, "templates")) == 1
    assert len(await owners(database, ANN, "presets")) == 2
    assert len(await owners(database, BOB, "presets")) == 1
    assert await owners(database, ANN, "backends") == ["gpu-1"]
    assert await owners(database, None, "backends") == []


async def test_the_name_of_somebody_who_shows_nothing_is_shown_to_nobody(
    database: Database, books: Books
) -> None:
    quiet = AccountId(uuid4())
    books.add(joined(quiet, "quiet"), *workflow(quiet, "private"))
    await told(database, books)
    for account in (None, ANN, quiet):
        async with reading(database) as reader, reader.for_account(account) as cursor:
            await cursor.execute(b"SELECT username FROM read.gallery_authors")
            assert {name for (name,) in await cursor.fetchall()} == {"ann", "bob"}


async def test_people_are_seen_by_administrators_and_by_themselves(everybodys: Books) -> None:
    database = everybodys.database

    async def seen(account: AccountId | None, *, overseeing: bool = False) -> set[AccountId]:
        async with reading(database) as reader, reader.for_account(account, overseeing=overseeing) as cursor:
            await cursor.execute(b"SELECT account FROM read.people")
            return {AccountId(id) for (id,) in await cursor.fetchall()}

    assert await seen(ANN) == {ANN}
    assert await seen(None) == set()
    assert await seen(ANN, overseeing=True) == {ANN, BOB}
    async with reading(database) as reader:
        async with reader.for_account(ANN, overseeing=True) as cursor:
            await cursor.execute(b"SELECT account FROM read.people")
        async with reader.for_account(BOB) as cursor:  # on the same connection
            await cursor.execute(b"SELECT account FROM read.people")
            assert await cursor.fetchall() == [(BOB,)]


async def test_every_table_has_row_security(everybodys: Books) -> None:
    database = everybodys.database
    with psycopg.connect(database.url) as owner:
        rows = owner.execute(
            "SELECT c.relname FROM pg_class AS c JOIN work.projections AS p "
            "ON c.relnamespace::regnamespace::text = p.name || '_g' || p.generation "
            "WHERE c.relkind = 'r' AND c.relrowsecurity"
        ).fetchall()
        views = owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relkind = 'v' "
            "AND 'security_invoker=true' = ANY (reloptions)"
        ).fetchall()
    assert {name for (name,) in rows} == set(VIEWS) == {name for (name,) in views}


async def test_the_reader_cannot_write(everybodys: Books) -> None:
    database = everybodys.database
    async with reading(database) as reader:
        with pytest.raises(psycopg.errors.Error):
            async with reader.for_account(ANN) as cursor:
                await cursor.execute("DELETE FROM read.runs")


async def test_one_account_does_not_linger_on_a_connection(everybodys: Books) -> None:
    database = everybodys.database
    async with reading(database) as reader:
        async with reader.for_account(ANN) as cursor:
            assert decoded(await run_status.own_runs(cursor, ANN, 10))["items"]
        async with reader.for_account(None) as cursor:
            assert decoded(await run_status.own_runs(cursor, ANN, 10))["items"] == []


async def test_a_run_is_shown_with_its_outputs(everybodys: Books) -> None:
    database = everybodys.database
    id = RunId(next(each.stream for each in everybodys.events if type(each.event).__name__ == "RunSubmitted"))
    async with reading(database) as reader:
        async with reader.for_account(ANN) as cursor:
            shown = decoded(await run_status.run(cursor, id))
            assert decoded(await run_status.output(cursor, id, "9", 1))["width"] == 512
            assert await run_status.output(cursor, id, "9", 0) is None
            assert await run_status.live_backends(cursor) == 1
        assert (shown["status"], shown["attempts_lost"], shown["failure"]) == ("succeeded", 1, None)
        assert [(each["node"], each["index"]) for each in shown["outputs"]] == [("9", 1)]  # type: ignore[attr-defined]
        assert str(shown["submitted_at"]).endswith("+00:00")
        async with reader.for_account(BOB) as cursor:
            assert await run_status.run(cursor, id) is None


async def test_lists_go_on_where_the_page_ended(database: Database, books: Books) -> None:
    for _ in range(5):
        books.add(*workflow(ANN, "mine", public=True), *run(ANN), *run(BOB))
    for projection in PROJECTIONS.values():
        await rebuild(projection, connecting(database))
    id = books.events[0].stream
    async with reading(database) as reader, reader.for_account(ANN) as cursor:

        async def pages(query: object, *values: object, **more: object) -> list[object]:
            found: list[object] = []
            after: str | None = None
            while True:
                body = decoded(await query(cursor, *values, 2, after, **more))  # type: ignore[operator]
                found.extend(body["items"])  # type: ignore[arg-type]
                after = body["next_cursor"] if body["next_cursor"] is None else str(body["next_cursor"])
                if after is None:
                    return found

        ids = [each["id"] for each in await pages(workflow_shelf.own_workflows, ANN)]  # type: ignore[index]
        assert len(ids) == len(set(ids)) == 5
        assert len(await pages(gallery.published)) == 5
        assert len(await pages(run_status.own_runs, ANN)) == 5
        assert len(await pages(run_status.own_runs, ANN, filters=RunFilters(status="succeeded"))) == 5
        assert await pages(run_status.own_runs, ANN, filters=RunFilters(status="failed")) == []
        assert len(await pages(workflow_shelf.versions, WorkflowId(id))) == 1
        history = await pages(audit_trail.history, id, "workflow")
        assert [each["version"] for each in history] == [1, 2, 3, 4]  # type: ignore[index]
        assert "topic" not in history[0]["data"]  # type: ignore[index]


@pytest.mark.parametrize("cursor", ["", "x", "1.x", "9" * 30 + ".8b0d5b3e-3f43-4c5e-9d55-0f6a3a1f2c10", "\0"])
async def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        paging.timed(cursor)
    with pytest.raises(Invalid):
        paging.numbered(cursor or "-1")
