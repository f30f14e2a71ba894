"""What is personal never reaches the log in the clear."""

import msgspec
import pytest

from domain.account import AccountRegistered
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import Event
from domain.personal import Personal, PersonalTextError, closed, sealed_texts
from tests.contract.golden import file_of
from tests.domain.facts import ANN

NAMES = CATALOGUE.personal[AccountRegistered]


class Renamed(Event, frozen=True, kw_only=True, tag="account.renamed.v1"):
    account: str
    nickname: Personal | None = None


class Nameless(Event, frozen=True, kw_only=True, tag="account.named.v1"):
    nickname: Personal


def registered(text: str | None) -> AccountRegistered:
    return AccountRegistered(account=ANN, username=Personal("c2VhbGVk", text))


def test_opened_text_is_not_stored() -> None:
    with pytest.raises(PersonalTextError):
        CATALOGUE.encode(registered("ann"))
    with pytest.raises(PersonalTextError):
        CATALOGUE.encode(registered(""))
    assert b"text" not in CATALOGUE.encode(registered(None))


def test_a_closed_event_can_be_stored_again() -> None:
    assert closed(registered("ann"), NAMES) == registered(None)


def test_what_is_open_need_not_be_opened() -> None:
    assert sealed_texts(registered("ann"), NAMES) == []
    (sealed,) = sealed_texts(registered(None), NAMES)
    assert (sealed.account, sealed.field) == (ANN, "username")


def test_personal_fields_may_be_empty() -> None:
    catalogue = Catalogue([Renamed])
    assert catalogue.personal == {Renamed: ("nickname",)}
    assert catalogue.encode(Renamed(account="ann"))
    with pytest.raises(PersonalTextError):
        catalogue.encode(Renamed(account="ann", nickname=Personal("c2VhbGVk", "Ann")))


def test_an_event_says_whose_its_personal_fields_are() -> None:
    with pytest.raises(TypeError, match="account"):
        Catalogue([Nameless])


def test_a_name_of_before_there_were_keys_is_read() -> None:
    old = CATALOGUE.decode("account.registered.v1", file_of("account.registered.v1").read_bytes())
    assert old == AccountRegistered(account=ANN, username=Personal(sealed="", text="ann"))
    with pytest.raises(PersonalTextError):
        CATALOGUE.encode(old)
    assert msgspec.json.encode(closed(old, NAMES)).count(b"ann") == 0
