"""The spool on a disk: what was written is known again, whatever the last moment was."""

from pathlib import Path
from uuid import uuid4

import pytest

from adapters.spool.disk import COMPACT_BYTES, DiskSpool, SpoolInUseError
from domain.ids import AttemptId, RunId
from domain.outcome import Failure, FailureKind
from services.ports.executing import Settled, Submitting
from services.ports.messages import Lost

ATTEMPT, OTHER = AttemptId(uuid4()), AttemptId(uuid4())
SUBMITTING = Submitting(run=RunId(uuid4()), epoch=1, backend="gpu")
SETTLED = Settled(facts=(Lost(failure=Failure(FailureKind.NODE, "It broke.")),))


def test_entries_are_known_again_in_order_and_forgotten_ones_are_not(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    spool.append(ATTEMPT, SUBMITTING)
    spool.append(OTHER, SUBMITTING)
    spool.append(ATTEMPT, SETTLED)
    spool.forget(OTHER)
    spool.close()
    spool = DiskSpool(tmp_path)
    assert spool.entries() == {ATTEMPT: (SUBMITTING, SETTLED)}
    spool.close()


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    spool.append(ATTEMPT, SUBMITTING)
    spool.append(ATTEMPT, SETTLED)
    spool.close()
    journal = tmp_path / "journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    spool = DiskSpool(tmp_path)
    assert spool.entries() == {ATTEMPT: (SUBMITTING,)}
    spool.close()


async def test_outputs_are_kept_until_forgotten_and_half_written_ones_never_were(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    spool.append(ATTEMPT, SUBMITTING)
    await spool.keep(ATTEMPT, 0, b"small")
    await spool.keep(ATTEMPT, 1, bytes(1 << 20))
    await spool.keep(ATTEMPT, 2, b"broken off")
    await spool.keep(OTHER, 0, b"nobody's")
    spool.close()
    (half,) = (tmp_path / "outputs").glob(f"{ATTEMPT}.2.*")
    half.write_bytes(b"brok")

    spool = DiskSpool(tmp_path)
    assert [await spool.kept(ATTEMPT, number) for number in range(3)] == [b"small", bytes(1 << 20), None]
    assert await spool.kept(OTHER, 0) is None
    spool.forget(ATTEMPT)
    assert list((tmp_path / "outputs").iterdir()) == []
    spool.close()


def test_the_journal_does_not_grow_for_ever(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    spool.append(OTHER, SETTLED)
    for _ in range(40_000):
        spool.append(ATTEMPT, SUBMITTING)
        spool.forget(ATTEMPT)
    assert (tmp_path / "journal").stat().st_size < COMPACT_BYTES + 1000
    spool.close()
    spool = DiskSpool(tmp_path)
    assert spool.entries() == {OTHER: (SETTLED,)}
    spool.close()


def test_a_folder_belongs_to_one_executor(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    with pytest.raises(SpoolInUseError):
        DiskSpool(tmp_path)
    spool.close()
    DiskSpool(tmp_path).close()
