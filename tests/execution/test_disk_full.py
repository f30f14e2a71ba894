"""Disks that are full, a backend's or an executor's: nothing half is left, the cause is told, and work goes on."""

import errno
import logging
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.models.folder import OURS, DiskIncoming, DiskModels
from adapters.spool.disk import COMPACT_BYTES, DiskSpool
from domain.attempt import Retries
from domain.ids import AttemptId, RunId, attempt_id
from domain.outcome import FailureKind
from domain.run import Status
from services.ports.executing import Called, SpoolFullError, Submitting
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.test_loras import brought, drawn, kept
from tests.execution.workshop import SharedSandbox, executor, picture
from tests.loras.files import lora

ATTEMPT = AttemptId(uuid4())
SUBMITTING = Submitting(run=RunId(uuid4()), epoch=1, backend="gpu")


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


class Filling(DiskIncoming):
    """Others fill the disk while the file is written."""

    def _write(self) -> None:
        held, self._held = self._held, self._held[: len(self._held) // 2]
        super()._write()
        self._held = held
        raise full()


class SmallDisk(DiskModels):
    """`is_full`: no byte more is taken, of a file or of a lease. `filling`: of a file only after it was begun."""

    is_full = False

    def fill(self, *, filling: bool) -> None:
        self.is_full = not filling
        self.incoming_file = Filling if filling else DiskIncoming

    def empty(self) -> None:
        self.is_full, self.incoming_file = False, DiskIncoming

    def _write_lease(self, path: Path, names: str) -> None:
        super()._write_lease(path, names[:3] if self.is_full else names)
        if self.is_full:
            raise full()


class SmallSpool(DiskSpool):
    """`left`: so many bytes are taken, and no more."""

    left = 1 << 40

    def has_room(self) -> bool:
        return self.left > 1 << 20

    def _put(self, file: int, body: bytes) -> None:
        taken = min(self.left, len(body))
        super()._put(file, body[:taken])
        self.left -= taken
        if taken < len(body):
            raise full()


@pytest.fixture
async def small(models: Path) -> SmallDisk:
    return SmallDisk(models)


@pytest.mark.parametrize("filling", [True, False], ids=["amid the download", "before it"])
async def test_a_lora_for_which_there_is_no_room_ends_the_run_with_that_cause(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    small: SmallDisk,
    models: Path,
    tmp_path: Path,
    filling: bool,
) -> None:
    dispatch.retries = Retries(0, timedelta(0))
    name = kept(store, lora(mark=40, extra=3_000_000))
    async with executor(dispatch, store, tmp_path, [comfyui.url], small):
        small.fill(filling=filling)
        run = dispatch.submit(drawn(name))
        await dispatch.ends(run, Status.FAILED)
        assert dispatch.failure(run).kind is FailureKind.TRANSPORT
        assert "no room for the LoRA" in dispatch.failure(run).reason
        assert brought(models) == set()
        assert [path.name for path in (models / OURS).iterdir()] == ["lock"]
        await dispatch.ends(dispatch.submit(picture()))  # it needs no LoRA
        small.empty()
        await dispatch.ends(dispatch.submit(drawn(name)))
    assert brought(models) == {name}


async def test_a_run_that_is_tried_again_finds_the_room_that_was_made(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, small: SmallDisk, tmp_path: Path
) -> None:
    dispatch.retries = Retries(10_000, timedelta(0))
    async with executor(dispatch, store, tmp_path, [comfyui.url], small):
        small.fill(filling=True)
        run = dispatch.submit(drawn(kept(store, lora(mark=41, extra=3_000_000))))
        await dispatch.until(lambda: dispatch.state(run).lost_attempts >= 2)
        small.empty()
        await dispatch.ends(run)
    assert len(dispatch.outputs(run)) == 1


@pytest.mark.parametrize("left", [0, 40, 2_000])
async def test_no_report_is_lost_where_the_executors_disk_is_full(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, left: int
) -> None:
    """What is in hand ends well, nothing new is taken, and a run that cannot be begun safely says why."""
    dispatch.retries = Retries(0, timedelta(0))
    spool = SmallSpool(tmp_path / "spool")
    async with executor(dispatch, store, tmp_path, [comfyui.url], spool=spool):
        await dispatch.ends(dispatch.submit(picture()))
        store.away = True
        begun = dispatch.submit(picture())
        await dispatch.until(lambda: any(comfyui.saved(attempt_id(begun, 1))))
        spool.left = left
        store.away = False
        await dispatch.ends(begun)
        assert len(dispatch.outputs(begun)) == 1
        waiting, beats = dispatch.submit(picture()), len(dispatch.beats)
        await dispatch.until(lambda: len(dispatch.beats) > beats + 3)
        assert dispatch.state(waiting).status is Status.QUEUED
        spool.left = 1 << 40
        await dispatch.ends(waiting)


async def test_what_cannot_be_noted_is_not_submitted(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    """It could be drawn twice, after kill -9."""

    class Sudden(SmallSpool):
        def has_room(self) -> bool:
            return True

    dispatch.retries = Retries(0, timedelta(0))
    spool = Sudden(tmp_path / "spool")
    async with executor(dispatch, store, tmp_path, [comfyui.url], spool=spool):
        spool.left = 10
        run = dispatch.submit(picture())
        await dispatch.ends(run, Status.FAILED)
        assert "executor's disk is full" in dispatch.failure(run).reason
        assert comfyui.saved(attempt_id(run, 1)) == []
        spool.left = 1 << 40
        await dispatch.ends(dispatch.submit(picture()))


def test_half_a_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    spool = SmallSpool(tmp_path)
    spool.append(ATTEMPT, SUBMITTING)
    spool.left = 20
    with pytest.raises(SpoolFullError):
        spool.append(ATTEMPT, Called(name="lost"))
    assert spool.entries() == {ATTEMPT: (SUBMITTING,)}
    spool.left = 1 << 40
    spool.append(ATTEMPT, Called(name="kept"))
    spool.close()
    again = DiskSpool(tmp_path)
    assert again.entries() == {ATTEMPT: (SUBMITTING, Called(name="kept"))}
    again.close()


async def test_a_full_spool_forgets_and_keeps_as_well_as_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = AttemptId(uuid4())
    spool = SmallSpool(tmp_path)
    for attempt in (ATTEMPT, other):
        spool.append(attempt, SUBMITTING)
        await spool.keep(attempt, 0, b"an output")
    spool.left = 5
    with caplog.at_level(logging.WARNING):
        await spool.keep(other, 1, bytes(1 << 20))
        spool.forget(ATTEMPT)
    assert [record.message for record in caplog.records] == ["spool is full"] * 2
    assert await spool.kept(other, 0) == b"an output"
    assert await spool.kept(other, 1) is None
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [f"{other}.0.9"]
    assert spool.entries() == {other: (SUBMITTING,)}
    spool.close()


def test_a_journal_that_cannot_be_rewritten_is_as_before(tmp_path: Path) -> None:
    spool = SmallSpool(tmp_path)
    spool.append(ATTEMPT, SUBMITTING)
    for _ in range(3):  # too long, from here on
        spool.append(ATTEMPT, Called(name="x" * (COMPACT_BYTES // 2)))
    spool.left = 100
    spool.forget(AttemptId(uuid4()))  # whenever something is forgotten it is tried
    spool.left = 1 << 40
    spool.append(ATTEMPT, Called(name="last"))
    spool.close()
    again = DiskSpool(tmp_path)
    assert again.entries()[ATTEMPT][-1] == Called(name="last")
    assert len(again.entries()[ATTEMPT]) == 5
    again.close()
