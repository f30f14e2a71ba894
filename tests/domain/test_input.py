"""An input is kept once for each account, and is there again when it is uploaded again."""

from domain.ids import Digest
from domain.input import INPUT, InputDeleted, InputStored, delete, store
from domain.refusals import NotFound
from tests.domain.facts import ANN, BOB
from tests.domain.scenario import Scenario

input = Scenario(INPUT)
stored = InputStored(
    owner=ANN, digest=Digest("a" * 64), name="a", media_type="image/png", size_bytes=9, width=3, height=4
)
deleted = InputDeleted(digest=Digest("a" * 64))


def test_a_picture_is_kept_once() -> None:
    input.given().when(store, stored=stored).then(stored).and_again_nothing()


def test_its_owner_deletes_it_and_twice_changes_nothing() -> None:
    input.given(stored).when(delete, by=ANN).then(deleted).and_again_nothing()


def test_what_was_deleted_can_be_uploaded_again() -> None:
    input.given(stored, deleted).when(store, stored=stored).then(stored)


def test_a_stranger_is_told_nothing() -> None:
    input.given(stored).when(delete, by=BOB).then_refused(NotFound)
    input.given(stored, deleted).when(delete, by=BOB).then_refused(NotFound)
    input.given().when(delete, by=ANN).then_refused(NotFound)
