"""Files on disk and in S3: looked after, backed up from where they are, brought back to where they belong."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from adapters.postgres.log import PostgresLog
from adapters.storage.s3 import Bucket
from commands.ports import Entry, RequestKey, Write
from domain.event import Event
from domain.ids import Actor, LoraId, RunId
from domain.input import InputDeleted, InputStored
from domain.lora import LoraDeleted, LoraSummary, LoraUploaded
from domain.outcome import Failure, FailureKind, Image, Output
from domain.run import OutputDeleted, OutputStored, RunAttemptLost, RunDeleted
from domain.share import Kind, ShareMade
from domain.shared_output import OutputPublished
from domain.workflow import Content, WorkflowThumbnailRemoved, WorkflowThumbnailSet
from infra.backup.make import make
from infra.backup.restore import bring_back
from infra.objects import at_hand
from infra.objects_care import move, verify
from infra.operating import stopped_database
from infra.settings import Settings
from infra.wiring import pool
from tests.backup.homes import PICTURES, SHARED, digest, fill, migrated, settings_of, stored
from tests.log.ground import ANN
from tests.s3 import S3Server

BODIES = {*PICTURES.values(), SHARED}


def in_s3(settings: Settings, bucket: Bucket) -> Settings:
    return replace(
        settings,
        s3_bucket=bucket.name,
        s3_endpoint=bucket.endpoint,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
        s3_prefix=bucket.prefix,
        s3_path_style=True,
    )


@pytest.fixture
async def home(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path / "home")
    migrated(settings)
    await fill(settings, runs=4)
    return settings


def test_files_are_moved_verified_backed_up_and_brought_back(
    home: Settings, s3_server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(home) == 2  # there is one store only
    moved = in_s3(home, s3_server.bucket())
    assert move(moved) == 0
    assert stored(home.data) == set()
    assert verify(moved, quick=False) == 0
    assert verify(home, quick=True) == 1  # nothing is on disk any more

    made = make(moved, tmp_path / "backup", None, with_objects=True)
    assert made.objects == len(BODIES)
    fresh = in_s3(settings_of(tmp_path / "fresh"), s3_server.bucket())
    assert bring_back(fresh, tmp_path / "backup", None, no_erasures=True).missing == []
    with at_hand(fresh) as store:
        assert {b"".join(store.read(digest(body))) for body in BODIES} == BODIES
    assert stored(fresh.data) == set()

    assert move(replace(moved, objects="disk")) == 0
    assert stored(home.data) == BODIES
    assert verify(home, quick=False) == 0
    assert "3 of 3 files that the log refers to are there and whole." in capsys.readouterr().out


def test_what_is_missing_or_damaged_is_named(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    places = {body: home.data / "objects" / digest(body)[:2] / digest(body) for body in BODIES}
    first, second, _ = places
    places[first].unlink()
    places[second].write_bytes(b"x" + second[1:])
    assert verify(home, quick=False) == 1
    told = capsys.readouterr().err
    assert f"1 are missing:\n  {digest(first)}" in told
    assert f"1 are damaged:\n  {digest(second)}" in told
    assert verify(home, quick=True) == 1
    assert "damaged" not in capsys.readouterr().err


def output(index: int, body: bytes) -> Output:
    small = Image(digest(body + b" small"), 1, "image/webp", 8, 8)
    return Output("9", index, "a.png", digest(body), len(body), "image/png", 8, 8, (small,))


def of_a_run(run: RunId) -> tuple[Event, ...]:
    """Of its three outputs one is there in the end, that of the last attempt."""
    lost, deleted, kept = output(0, b"lost"), output(1, b"deleted"), output(2, PICTURES[ANN])
    kept = replace(kept, thumbnails=())
    failure = Failure(FailureKind.LOST, "It is gone.")
    return (
        OutputStored(epoch=1, output=lost),
        RunAttemptLost(epoch=1, failure=failure),
        OutputStored(epoch=2, output=deleted),
        OutputStored(epoch=2, output=kept),
        OutputDeleted(node="9", index=1, size_bytes=deleted.size_bytes),
    )


async def happened(settings: Settings, *streams: tuple[UUID, tuple[Event, ...]]) -> None:
    with stopped_database(settings) as url:
        async with pool(url) as connections, PostgresLog(url, connections) as log:
            for id, events in streams:
                actor = Actor(str(ANN))
                key = RequestKey(actor, uuid4().hex, bytes(32))
                writes = (Write(id, 0, events, ANN),)
                await log.append(Entry(writes=writes, actor=actor, correlation=uuid4(), key=key))


def test_what_was_deleted_is_missed_by_nobody(
    home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, shown, whole = RunId(uuid4()), output(1, b"deleted"), output(0, b"of a deleted run")
    lora, file = LoraId(uuid4()), Content(digest(b"a LoRA"), 6)
    picture = InputStored(
        owner=ANN,
        digest=digest(b"an input"),
        name="a.png",
        media_type="image/png",
        size_bytes=8,
        width=8,
        height=8,
    )
    small = Image(digest(b"a workflow's"), 12, "image/webp", 8, 8)
    published = OutputPublished(owner=ANN, run=run, output=shown, name="Fox")
    shared = ShareMade(owner=ANN, kind=Kind.OUTPUT, subject=run, expires_at=None, output=shown)
    uploaded = LoraUploaded(
        lora=lora, owner=ANN, name="Fox", file="fox.safetensors", content=file, summary=LoraSummary()
    )
    happening = happened(
        home,
        (run, of_a_run(run)),
        (uuid4(), (OutputStored(epoch=1, output=whole), RunDeleted(outputs=1))),
        (uuid4(), (published,)),
        (uuid4(), (shared,)),
        (uuid4(), (picture, InputDeleted(digest=picture.digest))),
        (uuid4(), (uploaded, LoraDeleted(lora=lora))),
        (
            uuid4(),
            (WorkflowThumbnailSet(thumbnails=(small,)), WorkflowThumbnailRemoved(digests=(small.digest,))),
        ),
    )
    asyncio.run(happening)
    assert verify(home, quick=False) == 0
    assert "3 of 3 files" in capsys.readouterr().out
    made = make(home, tmp_path / "backup", None, with_objects=True)
    assert made.objects == len(BODIES)
