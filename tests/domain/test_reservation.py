"""A unique name has one holder at a time."""

from domain.refusals import Conflict
from domain.reservation import RESERVATION, NameReleased, NameReserved, release, reserve
from tests.domain.facts import ANN, BOB
from tests.domain.scenario import Scenario

name = Scenario(RESERVATION)
anns = name.given(NameReserved(account=ANN))


def test_a_free_name_is_taken() -> None:
    name.given().when(reserve, account=ANN, what="username").then(
        NameReserved(account=ANN)
    ).and_again_nothing()


def test_a_taken_name_is_refused() -> None:
    anns.when(reserve, account=BOB, what="username").then_refused(Conflict, "This username is already taken.")


def test_a_name_is_given_back_by_its_holder() -> None:
    anns.when(release, account=ANN).then(NameReleased(account=ANN)).and_again_nothing()
    anns.when(release, account=BOB).then_nothing()


def test_a_name_given_back_is_free() -> None:
    anns.given(NameReleased(account=ANN)).when(reserve, account=BOB, what="username").then(
        NameReserved(account=BOB)
    )
