"""Read models operated from the terminal: each command as people call it, over a database of the test's own."""

import signal
import time
from uuid import uuid4

import msgspec
import psycopg

from infra.printable import printable, size
from projections.catalogue import PROJECTIONS
from projections.rebuild import rebuild
from tests.projections import ground
from tests.projections.ground import Books, Channel, at_position, checkpoint, connecting, running, stored
from tests.projections.stories import ANN, everything, run, workflow
from tests.projections.test_jobs import builds
from tests.projections.test_kills import BEFORE, filled
from tests.projections.test_skips import parked_at
from tests.servers import Database
from tests.terminal import Terminal

SHELF = ground.PROJECTIONS["workflow_shelf"]


def test_read_models_are_rebuilt_listed_and_led_back(
    database: Database, books: Books, terminal: Terminal
) -> None:
    books.add(*everything())
    assert "missing" in terminal.call("projections")
    said = terminal.call("replay", "--all")
    assert all(f"{name}: {len(books.events)} events" in said for name in PROJECTIONS)
    terminal.call("replay", "workflow_shelf")
    assert builds(database, "workflow_shelf") == [(1, "retired"), (2, "live")]
    terminal.call("projections", "rollback", "workflow_shelf")
    assert builds(database, "workflow_shelf") == [(1, "live"), (2, "retired")]
    listed = terminal.call("projections")
    assert "2 retired, 1 live" in listed
    assert all(name in listed for name in PROJECTIONS)
    assert "No earlier build of gallery" in terminal.call("projections", "rollback", "gallery", code=1)
    assert "There is no read model" in terminal.call("replay", "nothing", code=2)
    for words in (("replay",), ("replay", "gallery", "--all")):
        assert "--all" in terminal.call(*words, code=2)


async def test_a_replay_that_was_killed_is_gone_on_with(
    database: Database, books: Books, terminal: Terminal
) -> None:
    filled(books)
    await rebuild(SHELF, connecting(database))
    before = stored(database, SHELF)
    process = terminal.start("replay", "workflow_shelf")
    deadline = time.monotonic() + 30
    while len(builds(database, "workflow_shelf")) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
    process.kill()
    process.wait()
    assert f"{BEFORE} events" in terminal.call("replay", "workflow_shelf")
    assert {state for _, state in builds(database, "workflow_shelf")} == {"live", "retired"}
    assert stored(database, SHELF) == before
    with psycopg.connect(database.url) as owner:
        assert owner.execute("SELECT DISTINCT state FROM work.rebuilds").fetchall() == [("done",)]


def test_a_replay_that_was_interrupted_leaves_nothing(
    database: Database, books: Books, terminal: Terminal
) -> None:
    filled(books)
    process = terminal.start("replay", "workflow_shelf")
    deadline = time.monotonic() + 30
    while not builds(database, "workflow_shelf"):
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    if process.wait(30) == 0:
        return  # it was done already
    assert builds(database, "workflow_shelf") == []
    with psycopg.connect(database.url) as owner:
        assert owner.execute("SELECT state FROM work.rebuilds").fetchall() == [("cancelled",)]


async def test_a_parked_event_is_shown_and_left_out(
    database: Database, books: Books, terminal: Terminal
) -> None:
    assert "Nothing is parked." in terminal.call("parked")
    books.add(*run(ANN))
    books.add_unreadable()
    with psycopg.connect(database.url) as owner:
        owner.execute("SELECT log.seal_the_rest()")  # as the log's own door would have done
    trail = ground.PROJECTIONS["audit_trail"]
    async with running(database, Channel(), (trail,)):
        await parked_at(database, "audit_trail", 10)
        assert "audit_trail 10 tomorrow.invented.v1" in terminal.call("parked")
        assert "held up by the event at 10" in terminal.call("projections")
        shown = terminal.call("parked", "show", "audit_trail", "10")
        assert '{"topic":"tomorrow.invented.v1"}' in shown
        assert "once more" in terminal.call("parked", "retry", "audit_trail", "10")
        assert "not held up" in terminal.call("parked", "skip", "audit_trail", "9", "--reason", "x", code=1)
        assert "reason" in terminal.call("parked", "skip", "audit_trail", "10", "--reason", " ", code=1)
        terminal.call("parked", "skip", "audit_trail", "10", code=2)
        said = terminal.call("parked", "skip", "audit_trail", "10", "--reason", "A test's.")
        assert "by the event at 11" in said
        await at_position(database, "audit_trail", 11)
    assert (checkpoint(database, "audit_trail") or ())[:2] == (11, None)
    assert "Nothing is parked." in terminal.call("parked")
    assert "is not left out" in terminal.call("parked", "withdraw", "gallery", "10", "--reason", "x", code=1)
    assert "built anew" in terminal.call("parked", "withdraw", "audit_trail", "10", "--reason", "Mended.")


def test_a_stream_is_told_event_by_event(books: Books, terminal: Terminal) -> None:
    told = workflow(ANN, "Cats\x1b[2J", public=True)
    id = told[0][0]
    books.add(*run(ANN), *told)
    lines = [msgspec.json.decode(line) for line in terminal.call("stream", str(id), "--json").splitlines()]
    assert [line["position"] for line in lines] == [10, 11, 12, 13]
    assert [line["topic"] for line in lines] == [
        "workflow.created.v1",
        "workflow.version_saved.v1",
        "workflow.renamed.v1",
        "workflow.published.v1",
    ]
    assert [line["state"]["public"] for line in lines] == [False, False, False, True]
    assert lines[2]["state"]["name"] == "Cats\x1b[2J é \\ 2"
    assert lines[0]["data"]["owner"] == str(ANN)
    assert lines[0]["actor"] == "tests"
    text = terminal.call("stream", str(id))
    assert "\x1b" not in text
    assert "13  2026-11-21T12:00:13+00:00  tests  workflow.published.v1" in text
    assert "  = public: true" in text
    assert "Nothing ever happened" in terminal.call("stream", str(uuid4()), code=1)
    terminal.call("stream", "x", code=2)


def test_a_stream_with_an_event_of_tomorrow_is_told_as_far_as_it_goes(
    books: Books, terminal: Terminal
) -> None:
    strange = books.add_unreadable()
    (line,) = terminal.call("stream", str(strange.stream), "--json").splitlines()
    told = msgspec.json.decode(line)
    assert told["state"] is None
    assert "tomorrow.invented.v1" in told["unreadable"]
    assert told["data"] == {"topic": "tomorrow.invented.v1"}
    assert "cannot be read" in terminal.call("stream", str(strange.stream))


def test_what_others_wrote_commands_no_terminal() -> None:
    assert printable("a\x1b[2J\u202eb\nc") == "a\\u001b[2J\\u202eb\\u000ac"
    assert printable("a\nb\x9b", lines=True) == "a\nb\\u009b"
    assert [size(n) for n in (0, 999, 8192, 123_456, 5 * 10**9)] == [
        "0 B",
        "999 B",
        "8.2 kB",
        "123 kB",
        "5.0 GB",
    ]
