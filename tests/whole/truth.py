"""What must be true whenever the whole has come to rest, looked up past the product: in the log itself, the
stream in NATS, the read models' tables, the object store and the sandbox's folders.
"""

import asyncio
import io
import json
import time
from collections import Counter
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import msgspec
import nats
import psycopg
from msgspec import Struct
from nats.js.api import DeliverPolicy
from PIL import Image

from domain.ids import RunId, attempt_id
from services.dispatch import folding
from tests.servers import looked_up
from tests.whole.people import Person
from tests.whole.read_models import read_models_are_right
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole

HEAD = "SELECT coalesce(max(notification_id), 0) FROM log.events"
EVENTS = """SELECT notification_id, originator_id, originator_version, topic, state
    FROM log.events ORDER BY notification_id"""
# Other events do not move its checkpoint.
UNFOLDED = """SELECT count(*) FROM log.events WHERE topic = ANY(%s) AND notification_id
    > coalesce((SELECT position FROM work.checkpoints WHERE name = 'dispatch'), 0)"""
ENDS = {"run.succeeded.v1": "succeeded", "run.failed.v1": "failed", "run.cancelled.v1": "cancelled"}


class Fact(Struct, frozen=True):
    position: int
    stream: UUID
    version: int
    topic: str
    data: dict[str, Any]


class Log(Struct, frozen=True):
    """The log as its owner reads it."""

    facts: list[Fact]

    def of(self, run: str) -> list[Fact]:
        stream = UUID(run)
        return [fact for fact in self.facts if fact.stream == stream]

    def runs(self, workflow: str | None = None) -> list[str]:
        return [
            str(fact.stream)
            for fact in self.facts
            if fact.topic == "run.submitted.v1" and workflow in (None, fact.data["workflow"])
        ]

    def open(self) -> set[str]:
        over = {str(fact.stream) for fact in self.facts if fact.topic in ENDS}
        return set(self.runs()) - over


async def audit(
    whole: Whole, somebody: Person, workflow: str, expected: dict[str, set[tuple[str, int]]]
) -> Log:
    """Wait until all is at rest, then look at everything.

    `expected`: the outputs of each accepted run of the workflow, of which there must be no others.
    """
    log = await at_rest(whole)
    the_log_is_whole(log)
    assert sorted(log.runs(workflow)) == sorted(expected), "accepted runs and those in the log differ"
    for run in log.runs():
        ended_once(log.of(run))
    for run, outputs in expected.items():
        facts = log.of(run)
        shown = await somebody.run(run)
        assert shown["status"] == ENDS[facts[-1].topic], (shown, facts)
        assert shown["status"] == "succeeded", (shown["failure"], facts)
        assert {(each["node"], each["index"]) for each in shown["outputs"]} == outputs
        await outputs_are_there(whole, somebody, facts, shown)
    nothing_ran_twice(whole, log)
    await the_stream_is_the_log(whole, log)
    await read_models_are_right(whole)
    return log


# --- at rest


async def at_rest(whole: Whole) -> Log:
    """Every run is over, the stream and every read model have the whole log, and nothing more happens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        log = None
        try:
            if not (lag := _lag(whole)):  # before all of it is read
                log = read_log(whole)
                lag = log.open()
        except psycopg.OperationalError as error:
            lag = {str(error)}
        if log is not None and not lag and await _last_sequence(whole) == len(log.facts) == _head(whole):
            return log
        assert time.monotonic() < deadline, f"not at rest: {lag}\n{_about(log, lag)}"
        await asyncio.sleep(LOOK_S * 5)


def _head(whole: Whole) -> int:
    ((head,),) = looked_up(whole.owner_url, HEAD)
    return int(head)


def read_log(whole: Whole) -> Log:
    rows = looked_up(whole.owner_url, EVENTS)
    return Log(
        [
            Fact(position, stream, version, topic, msgspec.json.decode(state))
            for position, stream, version, topic, state in rows
        ]
    )


def _lag(whole: Whole) -> set[str]:
    head = _head(whole)
    rows = looked_up(whole.owner_url, "SELECT name, position FROM work.projections WHERE state = 'live'")
    behind = {name for name, position in rows if position != head}
    ((unfolded,),) = looked_up(whole.owner_url, UNFOLDED, list(folding.TOPICS))
    return behind | ({"dispatch"} if unfolded else set())


async def _last_sequence(whole: Whole) -> int:
    try:
        client = await nats.connect(str(whole.settings.nats_url), max_reconnect_attempts=1, error_cb=_quiet)
    except (nats.errors.Error, OSError):
        return -1
    try:
        return int((await client.jetstream(timeout=2).stream_info("EVENTS")).state.last_seq)
    except (nats.errors.Error, OSError):
        return -1
    finally:
        await client.close()


async def _quiet(_: Exception) -> None:
    return


def _about(log: Log | None, lag: set[str]) -> str:
    return "" if log is None else "\n".join(str(log.of(run)) for run in lag & set(log.runs()))


# --- the log


def the_log_is_whole(log: Log) -> None:
    """Positions and versions have no gap, and no two are the same."""
    assert [fact.position for fact in log.facts] == list(range(1, len(log.facts) + 1))
    versions: Counter[UUID] = Counter()
    for fact in log.facts:
        versions[fact.stream] += 1
        assert fact.version == versions[fact.stream], fact


def ended_once(facts: list[Fact]) -> None:
    """A run's story: each attempt is claimed once and speaks only while it holds the run; one end, at the end."""
    topics = [fact.topic for fact in facts]
    assert topics[0] == "run.submitted.v1", topics
    assert topics.count("run.submitted.v1") == 1, topics
    assert [topic for topic in topics if topic in ENDS] == topics[-1:], topics
    outputs: set[tuple[str, int]] = set()
    epoch, holding = 0, False
    for fact in facts[1:]:
        match fact.topic:
            case "run.claimed.v1":
                assert not holding, topics
                epoch, holding, outputs = epoch + 1, True, set()
                assert fact.data["epoch"] == epoch, facts
            case "run.attempt_lost.v1":
                assert holding, topics
                assert fact.data["epoch"] == epoch, facts
                holding = False
            case "run.output_stored.v1":
                place = (fact.data["output"]["node"], fact.data["output"]["index"])
                assert holding, topics
                assert place not in outputs, facts
                assert fact.data["epoch"] == epoch, facts
                outputs.add(place)
            case "run.started.v1":
                assert holding, topics
                assert fact.data["epoch"] == epoch, facts
            case "run.succeeded.v1":
                assert holding, topics
                assert fact.data["epoch"] == epoch, facts
                assert fact.data["outputs"] == len(outputs), facts
    starts = Counter(fact.data["epoch"] for fact in facts if fact.topic == "run.started.v1")
    assert set(starts.values()) <= {1}, topics


def attempts_lost(facts: list[Fact]) -> int:
    return sum(fact.topic == "run.attempt_lost.v1" for fact in facts)


# --- outputs


async def outputs_are_there(whole: Whole, somebody: Person, facts: list[Fact], shown: dict[str, Any]) -> None:
    """Each as its digest says, made by the attempt that counts, with its thumbnails."""
    attempt = str(attempt_id(RunId(facts[0].stream), facts[-1].data["epoch"]))
    for output in shown["outputs"]:
        body = await _fetched(somebody, output)
        assert len(body) == output["size_bytes"]
        with Image.open(io.BytesIO(body)) as image:
            assert image.size == (output["width"], output["height"])
            graph = json.loads(image.info["prompt"])  # ComfyUI writes the graph into the picture
        assert graph[output["node"]]["inputs"]["filename_prefix"].startswith(f"comfyplus/{attempt}/")
        assert output["thumbnails"]
        for thumbnail in output["thumbnails"]:
            await _fetched(somebody, thumbnail)
    assert {output["digest"] for output in shown["outputs"]} <= whole.objects()


async def _fetched(somebody: Person, file: dict[str, Any]) -> bytes:
    answer = await somebody.http.get(file["url"])
    assert answer.status_code == 200, answer.text
    assert sha256(answer.content).hexdigest() == file["digest"]
    return answer.content


# --- the backend


def nothing_ran_twice(whole: Whole, log: Log) -> None:
    """An attempt saves into a folder of its own: a second execution would have counted on there.

    And every prompt gets a number: those of this life of the sandbox are all accounted for.
    """
    claimed = {
        str(attempt_id(RunId(fact.stream), fact.data["epoch"]))
        for fact in log.facts
        if fact.topic == "run.claimed.v1"
    }
    for folder in whole.sandbox_outputs.glob("*"):
        assert folder.name in claimed, "somebody ran what was never claimed"
        names = sorted(path.name for path in folder.iterdir())
        assert not [name for name in names if name.startswith("first") and "_00001_" not in name], names
        assert not [name for name in names if name.startswith("batch") and name[6:11] > "00002"], names
    history = httpx.get(f"{whole.sandbox_url}/history", verify=False, trust_env=False).json()
    numbers = sorted(int(entry["prompt"][0]) for entry in history.values())
    lost = sum(fact.topic in ("run.attempt_lost.v1", "run.cancelled.v1") for fact in log.facts)
    unseen = set(range(numbers[-1] + 1 if numbers else 0)) - set(numbers)
    assert len(unseen) <= lost, f"{unseen} were sent more than once"


# --- NATS


async def the_stream_is_the_log(whole: Whole, log: Log) -> None:
    client = await nats.connect(str(whole.settings.nats_url))
    try:
        jetstream = client.jetstream()
        state = (await jetstream.stream_info("EVENTS")).state
        assert state.first_seq == 1
        assert state.last_seq == state.messages >= len(log.facts)  # a backend may have come or gone since
        told = await jetstream.subscribe("events.>", ordered_consumer=True, deliver_policy=DeliverPolicy.ALL)
        for fact in log.facts:
            message = await told.next_msg(timeout=30)
            event = msgspec.json.decode(message.data)
            assert message.metadata.sequence.stream == fact.position == int(event["id"])
            heard = (UUID(event["subject"]), event["streamversion"], event["type"], event["data"])
            assert heard == (fact.stream, fact.version, fact.topic, fact.data)
        await told.unsubscribe()
    finally:
        await client.close()
