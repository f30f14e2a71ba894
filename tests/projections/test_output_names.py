"""What each file of a run is called: as one ComfyUI would call it that only this account uses."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.event import Event
from domain.ids import AccountId, Digest, RunId
from domain.outcome import Failure, FailureKind, FileType, Output
from domain.run import OutputDeleted, OutputStored, RunAttemptLost, RunDeleted
from projections import output_names
from projections.output_names import OUTPUT_NAMES, FileName
from projections.rebuild import rebuild
from projections.writer import empty
from tests.projections.ground import PROJECTIONS, Books, connecting, reading, recorded
from tests.projections.stories import ANN, BOB
from tests.servers import Database

FIRST, SECOND, THIRD = (RunId(UUID(int=number)) for number in (1, 2, 3))
LOST = RunAttemptLost(epoch=1, failure=Failure(FailureKind.LOST, "The machine went away."))


def stored(name: str, index: int = 0, **where: Any) -> OutputStored:
    output = Output("9", index, name, Digest("ab" * 32), 10, "image/png", **where)
    return OutputStored(epoch=1, output=output)


def names(*events: tuple[UUID, Event], owner: AccountId = ANN) -> list[str]:
    buffer = empty(OUTPUT_NAMES, whole=True)
    for position, (run, event) in enumerate(events, 1):
        OUTPUT_NAMES.fold(recorded(position, run, event, owner=owner), buffer)
    rows = sorted(buffer["output_names"].everything(), key=lambda row: (row.at, row.index))
    return [row.filename for row in rows if not row.lost]


def test_the_counter_goes_on_from_run_to_run() -> None:
    told = (
        (FIRST, stored("cat_00001_.png")),
        (FIRST, stored("cat_00002_.png", 1)),
        (SECOND, stored("cat_00001_.png")),
    )
    assert names(*told) == ["cat_00001_.png", "cat_00002_.png", "cat_00003_.png"]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("dog_00001_.png", {}),
        ("cat_00001_.png", {"subfolder": "a"}),
        ("cat_00001_.png", {"type": FileType.TEMP}),
        ("cat_2_00001_.png", {}),
    ],
)
def test_every_beginning_folder_and_type_has_its_own_counter(name: str, where: dict[str, Any]) -> None:
    assert names((FIRST, stored("cat_00001_.png")), (SECOND, stored(name, **where)))[1] == name


def test_every_account_has_its_own_counters() -> None:
    buffer = empty(OUTPUT_NAMES, whole=True)
    for position, (run, owner) in enumerate(((FIRST, ANN), (SECOND, BOB)), 1):
        OUTPUT_NAMES.fold(recorded(position, run, stored("cat_00001_.png"), owner=owner), buffer)
    assert [row.filename for row in buffer["output_names"].everything()] == ["cat_00001_.png"] * 2


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("film_00001.mp4", "film_00002.mp4"),
        ("film_00001-audio.mp4", "film_00002-audio.mp4"),
        ("a_00001_00001_.png", "a_00001_00002_.png"),
        ("film.mp4", "film_00001_.mp4"),
        ("no ending", "no ending_00001_"),
        ("cat_00001_.tar.gz", "cat_00001_.tar_00001_.gz"),
    ],
)
def test_no_name_is_given_twice(name: str, second: str) -> None:
    given = names((FIRST, stored(name)), (SECOND, stored(name)), (THIRD, stored(second)))
    assert given[:2] == [name, second]
    assert len(set(given)) == 3


def test_what_another_attempt_makes_again_keeps_its_name() -> None:
    before = (FIRST, stored("cat_00001_.png")), (FIRST, LOST)
    assert names(*before) == []
    between = (*before, (SECOND, stored("cat_00001_.png")))
    assert names(*between, (FIRST, stored("cat_00001_.png"))) == ["cat_00002_.png", "cat_00001_.png"]
    assert names(*between, (FIRST, stored("cat_00001_.webp")))[1] == "cat_00003_.webp"


@pytest.mark.parametrize("gone", [RunDeleted(), OutputDeleted(node="9", index=0, size_bytes=10)])
def test_the_name_of_what_is_gone_is_not_given_again(gone: Event) -> None:
    told = (FIRST, stored("cat_00001_.png")), (FIRST, gone), (SECOND, stored("cat_00001_.png"))
    assert names(*told) == ["cat_00002_.png"]


async def test_files_are_found_by_their_names_and_by_their_runs_and_only_by_their_owner(
    books: Books, database: Database
) -> None:
    strange = RunId(uuid4())
    books.add(
        (FIRST, ANN, stored("cat_00001_.png")),
        (FIRST, ANN, stored("cat_00001_.png", 1, subfolder="a/b")),
        (SECOND, ANN, stored("cat_00001_.png")),
        (SECOND, ANN, LOST),
        (strange, BOB, stored("cat_00001_.png")),
    )
    await rebuild(PROJECTIONS["output_names"], connecting(database))
    top, deep = FileName("cat_00001_.png", "", "output"), FileName("cat_00001_.png", "a/b", "output")
    async with reading(database) as reader, reader.for_account(ANN) as cursor:
        found = await output_names.of_runs(cursor, [FIRST, SECOND, strange])
        assert found == {FIRST: {("9", 0): top, ("9", 1): deep}}
        named = await output_names.by_name(cursor, ANN, deep)
        assert named is not None
        assert (named.run, named.node, named.index, named.size_bytes) == (FIRST, "9", 1, 10)
        assert await output_names.by_name(cursor, BOB, top) is None
        assert await output_names.by_name(cursor, ANN, FileName("cat_00002_.png", "", "output")) is None
        assert await output_names.newest(cursor, ANN, "output", 5) == [deep, top]
