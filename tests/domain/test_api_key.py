from uuid import uuid4

import pytest

from domain.api_key import API_KEY, ApiKeyMade, ApiKeyRevoked, Scope, make, revoke
from domain.ids import AccountId
from domain.refusals import Conflict, Invalid, NotAllowed, NotFound
from tests.domain.scenario import Scenario

ANN, BOB = AccountId(uuid4()), AccountId(uuid4())
key = Scenario(API_KEY)
made, revoked = ApiKeyMade(owner=ANN, scopes=(Scope.EVENTS,)), ApiKeyRevoked()


def test_a_key_is_made_with_each_scope_once() -> None:
    scopes = [Scope.READ, Scope.EVENTS, Scope.READ]
    key.given().when(make, owner=ANN, scopes=scopes, administrator=False).then(
        ApiKeyMade(owner=ANN, scopes=(Scope.EVENTS, Scope.READ))
    )


def test_a_key_opens_something() -> None:
    key.given().when(make, owner=ANN, scopes=[], administrator=True).then_refused(
        Invalid, "at least one scope"
    )


@pytest.mark.parametrize("others", [(), (Scope.READ,)])
def test_only_an_administrators_key_follows_everybody(others: tuple[Scope, ...]) -> None:
    scopes = (Scope.ALL_EVENTS, *others)
    refused = key.given().when(make, owner=ANN, scopes=scopes, administrator=False)
    refused.then_refused(NotAllowed, "administrator")
    key.given().when(make, owner=ANN, scopes=scopes, administrator=True).then(
        ApiKeyMade(owner=ANN, scopes=tuple(sorted(scopes)))
    )


def test_a_key_is_made_once() -> None:
    key.given(made).when(make, owner=ANN, scopes=[Scope.READ], administrator=False).then_refused(
        Conflict, "exists"
    )


def test_its_owner_revokes_it() -> None:
    key.given(made).when(revoke, by=ANN).then(revoked)


def test_revoking_twice_changes_nothing() -> None:
    key.given(made, revoked).when(revoke, by=ANN).then_nothing()


def test_a_stranger_is_told_nothing() -> None:
    key.given(made).when(revoke, by=BOB).then_refused(NotFound, "no such key")


def test_a_key_that_never_was_cannot_be_revoked() -> None:
    key.given().when(revoke, by=ANN).then_refused(NotFound, "no such key")
