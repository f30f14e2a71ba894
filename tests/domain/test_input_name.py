"""Which picture a name stands for."""

from uuid import uuid4

from domain.ids import AccountId, Digest
from domain.input_name import INPUT_NAME, InputNamed, NameTaken, give
from tests.domain.scenario import Scenario

ANN = AccountId(uuid4())
RED, BLUE = Digest("aa"), Digest("bb")
name = Scenario(INPUT_NAME)


def named(digest: Digest) -> InputNamed:
    return InputNamed(owner=ANN, type="input", subfolder="", filename="red.png", digest=digest)


def test_a_free_name_is_given() -> None:
    name.given().when(give, named=named(RED), instead_of=Digest("")).then(named(RED))


def test_the_same_picture_keeps_its_name() -> None:
    name.given(named(RED)).when(give, named=named(RED), instead_of=Digest("")).then_nothing()


def test_another_picture_does_not_take_it() -> None:
    name.given(named(RED)).when(give, named=named(BLUE), instead_of=Digest("")).then_refused(NameTaken)


def test_another_picture_takes_the_place_of_the_one_it_may_replace() -> None:
    name.given(named(RED)).when(give, named=named(BLUE), instead_of=RED).then(named(BLUE))
    name.given(named(RED)).when(give, named=named(BLUE), instead_of=None).then(named(BLUE))
