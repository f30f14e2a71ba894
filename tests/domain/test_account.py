"""Accounts and their sessions."""

from uuid import UUID

import pytest

from domain.account import (
    ACCOUNT,
    MAX_SESSIONS,
    AccountErased,
    AccountLoggedIn,
    AccountLoggedOut,
    AccountRegistered,
    AccountReinstated,
    AccountSuspended,
    EmailChanged,
    EmailConfirmed,
    IdentityLinked,
    IdentityUnlinked,
    PasswordChanged,
    Role,
    RoleGiven,
    SessionRevoked,
    SessionsEnded,
    change_email,
    change_password,
    end_others,
    erase,
    leave,
    log_in,
    log_out,
    register,
    revoke,
)
from domain.identity import arrive, link, log_in_by, unlink
from domain.ids import SessionId
from domain.personal import Personal
from domain.refusals import Conflict, Invalid, NotAllowed, NotAuthenticated, NotFound
from domain.standing import check_giver, give_role, reinstate, suspend
from tests.domain.facts import ANN, OTHER_SESSION, SESSION
from tests.domain.scenario import Scenario

account = Scenario(ACCOUNT)
NAME = Personal(sealed="c2VhbGVk")
registered = AccountRegistered(account=ANN, username=NAME)
logged_in = AccountLoggedIn(session=SESSION)
ann = account.given(registered)
online = ann.given(logged_in)


def test_an_account_is_registered_once() -> None:
    account.given().when(register, id=ANN, username=NAME).then(registered).and_again_refused(Conflict)


def test_a_session_begins_once() -> None:
    ann.when(log_in, session=SESSION, epoch=0).then(logged_in).and_again_nothing()


def test_nobody_logs_in_to_no_account() -> None:
    account.given().when(log_in, session=SESSION, epoch=0).then_refused(NotAuthenticated)


def test_a_session_ends_once() -> None:
    online.when(log_out, session=SESSION).then(AccountLoggedOut(session=SESSION)).and_again_nothing()


def test_a_stolen_session_is_revoked_once() -> None:
    online.when(revoke, session=SESSION).then(SessionRevoked(session=SESSION)).and_again_nothing()


def test_other_sessions_go_on() -> None:
    both = online.given(AccountLoggedIn(session=OTHER_SESSION), SessionRevoked(session=SESSION))
    assert both.state.sessions == (OTHER_SESSION,)


def test_ending_an_unknown_session_changes_nothing() -> None:
    online.when(log_out, session=OTHER_SESSION).then_nothing()
    online.when(revoke, session=OTHER_SESSION).then_nothing()


def test_the_oldest_sessions_are_forgotten() -> None:
    many = [AccountLoggedIn(session=SessionId(UUID(int=number))) for number in range(MAX_SESSIONS + 3)]
    sessions = ann.given(*many).state.sessions
    assert len(sessions) == MAX_SESSIONS
    assert sessions[0] == many[3].session


def test_another_password_or_address_ends_all_sessions_but_one() -> None:
    both = online.given(AccountLoggedIn(session=OTHER_SESSION))
    changed = PasswordChanged(password=UUID(int=3), kept=SESSION, epoch=1)
    both.when(change_password, password=UUID(int=3), by=SESSION).then(changed)
    assert both.given(changed).state.sessions == (SESSION,)
    moved = EmailChanged(email=UUID(int=4), kept=OTHER_SESSION, epoch=1)
    both.when(change_email, email=UUID(int=4), seen=None, by=OTHER_SESSION).then(moved)
    assert both.given(moved).state.sessions == (OTHER_SESSION,)
    assert both.given(moved, PasswordChanged(password=UUID(int=3), kept=None, epoch=2)).state.sessions == ()


def test_whoever_is_logged_out_changes_nothing_any_more() -> None:
    online.when(change_password, password=UUID(int=3), by=OTHER_SESSION).then_refused(NotAuthenticated)
    online.when(change_email, email=UUID(int=4), seen=None, by=OTHER_SESSION).then_refused(NotAuthenticated)
    ann.when(end_others, by=SESSION).then_refused(NotAuthenticated)


def test_of_two_changes_of_the_address_the_second_is_told() -> None:
    moved = online.given(EmailChanged(email=UUID(int=4), kept=SESSION, epoch=1))
    moved.when(change_email, email=UUID(int=5), seen=None, by=SESSION).then_refused(Conflict)


def test_all_other_sessions_end_at_once() -> None:
    both = online.given(AccountLoggedIn(session=OTHER_SESSION))
    both.when(end_others, by=SESSION).then(SessionsEnded(kept=SESSION, epoch=1)).and_again_nothing()


def test_a_password_that_was_right_in_an_epoch_before_is_wrong() -> None:
    changed = online.given(PasswordChanged(password=UUID(int=3), kept=SESSION, epoch=1))
    changed.when(log_in, session=OTHER_SESSION, epoch=0).then_refused(NotAuthenticated)
    changed.when(log_in, session=OTHER_SESSION, epoch=1).then(AccountLoggedIn(session=OTHER_SESSION))


def test_a_role_is_given_once() -> None:
    given = RoleGiven(role=Role.ADMIN, reason="Because.")
    ann.when(give_role, role=Role.ADMIN, reason="Because.").then(given).and_again_nothing()
    ann.when(give_role, role=Role.MEMBER, reason="Because.").then_nothing()
    ann.when(give_role, role=Role.ADMIN, reason=" ").then_refused(Invalid)


def test_nobody_has_no_role() -> None:
    account.given().when(give_role, role=Role.ADMIN, reason="Because.").then_refused(NotFound)


suspended = AccountSuspended(reason="Mining.", epoch=1)


def test_whoever_is_suspended_is_logged_out_and_stays_away() -> None:
    online.when(suspend, reason=" Mining. ").then(suspended).and_again_nothing()
    away = online.given(suspended)
    assert away.state.sessions == ()
    away.when(log_in, session=OTHER_SESSION, epoch=1).then_refused(NotAllowed, "Mining")
    online.when(suspend, reason="").then_refused(Invalid)


def test_whoever_is_reinstated_may_log_in_again() -> None:
    away = online.given(suspended)
    back = AccountReinstated(reason="A mistake.")
    away.when(reinstate, reason="A mistake.").then(back).and_again_nothing()
    away.given(back).when(log_in, session=OTHER_SESSION, epoch=1).then(AccountLoggedIn(session=OTHER_SESSION))


def test_only_administrators_who_are_not_suspended_decide_about_others() -> None:
    admin = ann.given(RoleGiven(role=Role.ADMIN))
    check_giver(admin.state)
    check_giver(None)
    for giver in (ann, ann.given(RoleGiven(role=Role.MODERATOR)), admin.given(suspended)):
        with pytest.raises(NotAllowed):
            check_giver(giver.state)


def test_an_administrator_does_not_leave() -> None:
    admin = ann.given(RoleGiven(role=Role.ADMIN))
    admin.when(leave, with_published=False).then_refused(Conflict)
    admin.when(erase, with_published=False).then(AccountErased())
    ann.when(leave, with_published=True).then(AccountErased(with_published=True)).and_again_nothing()


def test_an_account_is_erased_once() -> None:
    online.when(erase, with_published=True).then(AccountErased(with_published=True)).and_again_nothing()
    account.given().when(erase, with_published=False).then_refused(NotFound)


def test_who_was_erased_neither_logs_in_nor_rules_nor_comes_back() -> None:
    gone = online.given(RoleGiven(role=Role.ADMIN), AccountErased())
    assert (gone.state.sessions, gone.state.role) == ((), Role.MEMBER)
    gone.when(log_in, session=OTHER_SESSION, epoch=0).then_refused(NotAuthenticated)
    gone.when(give_role, role=Role.ADMIN, reason="Because.").then_refused(NotFound)
    gone.when(suspend, reason="Because.").then_refused(NotFound)
    gone.when(register, id=ANN, username=NAME).then_refused(Conflict)
    gone.when(log_out, session=SESSION).then_nothing()


IDENTITY, ADDRESS = UUID(int=0x1D), UUID(int=0xE)


def test_an_identity_is_linked_once_and_only_one() -> None:
    linked = online.given(IdentityLinked(identity=IDENTITY))
    online.when(link, identity=IDENTITY, by=SESSION).then(
        IdentityLinked(identity=IDENTITY)
    ).and_again_nothing()
    linked.when(link, identity=ADDRESS, by=SESSION).then_refused(Conflict, "Unlink it first")
    online.when(link, identity=IDENTITY, by=OTHER_SESSION).then_refused(NotAuthenticated)
    linked.when(unlink, has_password=False, by=SESSION).then_refused(Conflict, "password first")
    linked.when(unlink, has_password=True, by=SESSION).then(
        IdentityUnlinked(identity=IDENTITY)
    ).and_again_nothing()


def test_the_provider_lets_in_whom_it_is_linked_to() -> None:
    linked = online.given(IdentityLinked(identity=IDENTITY))
    wish = {"session": OTHER_SESSION, "epoch": 0}
    linked.when(log_in_by, identity=IDENTITY, **wish).then(AccountLoggedIn(session=OTHER_SESSION))
    for other in (online, linked.given(IdentityUnlinked(identity=IDENTITY)), linked.given(AccountErased())):
        other.when(log_in_by, identity=IDENTITY, **wish).then_refused(NotAuthenticated)
    linked.given(suspended).when(log_in_by, identity=IDENTITY, session=OTHER_SESSION, epoch=1).then_refused(
        NotAllowed
    )


def test_whoever_comes_by_the_provider_arrives_with_it() -> None:
    account.given().when(arrive, id=ANN, username=NAME, identity=IDENTITY, email=ADDRESS).then(
        AccountRegistered(account=ANN, username=NAME),
        IdentityLinked(identity=IDENTITY),
        EmailConfirmed(email=ADDRESS),
    )
    ann.when(arrive, id=ANN, username=NAME, identity=IDENTITY, email=None).then_refused(Conflict)
