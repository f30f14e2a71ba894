"""What is made from the server's secret, and who cannot make it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from adapters.identity.secrets import Access, ServerSecrets, derive
from domain.ids import AccountId, Digest, RunId, SessionId
from domain.refusals import NotAuthenticated

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(seconds=1)
RUN, GRAPH = RunId(uuid4()), Digest("ab" * 32)
OURS, THEIRS = ServerSecrets(b"one secret"), ServerSecrets(b"another secret")


def test_an_access_token_says_who_and_in_which_session() -> None:
    access = Access(AccountId(uuid4()), SessionId(uuid4()))
    token = OURS.access_token(access.account, access.session, datetime.now(UTC) + timedelta(minutes=1))
    assert OURS.read_access_token(token) == access
    with pytest.raises(NotAuthenticated):
        THEIRS.read_access_token(token)


def test_an_access_token_that_was_good_expires_all_the_same() -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    clock = [datetime.now(UTC).timestamp()]
    ours = ServerSecrets(b"one secret", lambda: clock[0])
    token = ours.access_token(AccountId(uuid4()), SessionId(uuid4()), expires_at)
    assert ours.read_access_token(token) == ours.read_access_token(token)
    clock[0] = int(expires_at.timestamp())
    with pytest.raises(NotAuthenticated):
        ours.read_access_token(token)


def test_a_claim_token_is_good_until_it_expires() -> None:
    token = OURS.claim_token(RUN, 2, GRAPH, SOON)
    claim = OURS.read_claim_token(token, NOW)
    assert (claim.run, claim.epoch, claim.graph) == (RUN, 2, GRAPH)
    for reader, now in ((THEIRS, NOW), (OURS, SOON), (OURS, SOON + timedelta(days=1))):
        with pytest.raises(NotAuthenticated):
            reader.read_claim_token(token, now)


@pytest.mark.parametrize("token", ["", ".", "a.b", "a.b.c", "ü.ü", "=.=", "." * 1000, "YQ.YQ"])
def test_what_is_no_claim_token_opens_nothing(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        OURS.read_claim_token(token, NOW)


def test_no_character_of_a_claim_token_can_be_changed() -> None:
    token = OURS.claim_token(RUN, 2, GRAPH, SOON)
    for place in range(0, len(token) - 1, 7):  # the last one carries unused bits
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(NotAuthenticated):
            OURS.read_claim_token(token[:place] + other + token[place + 1 :], NOW)


def test_a_browser_s_token_is_of_a_kind_of_its_own() -> None:
    access = Access(AccountId(uuid4()), SessionId(uuid4()), 3)
    token = OURS.browser_token(access, SOON)
    shown = OURS.read_browser_token(token, NOW)
    assert (shown.account, shown.session, shown.epoch) == (access.account, access.session, 3)
    half_way = OURS.half_way_token(access.account, 3, SOON)
    assert OURS.read_half_way_token(half_way, NOW).epoch == 3
    for read, shown, now in (
        (THEIRS.read_browser_token, token, NOW),
        (OURS.read_browser_token, token, SOON),
        (OURS.read_browser_token, half_way, NOW),
        (OURS.read_half_way_token, token, NOW),
        (OURS.read_half_way_token, half_way, SOON),
        (OURS.read_claim_token, token, NOW),
        (OURS.read_browser_token, OURS.access_token(access.account, access.session, SOON), NOW),
        (OURS.read_browser_token, "", NOW),
    ):
        with pytest.raises(NotAuthenticated):
            read(shown, now)
    with pytest.raises(NotAuthenticated):
        OURS.read_access_token(token)


def test_an_address_is_good_for_one_object_of_one_run_until_it_expires() -> None:
    expires = int(SOON.timestamp())
    signature = OURS.object_signature(RUN, GRAPH, expires)
    assert OURS.check_object_signature(RUN, GRAPH, expires, signature, NOW)
    assert not OURS.check_object_signature(RunId(uuid4()), GRAPH, expires, signature, NOW)
    assert not OURS.check_object_signature(RUN, Digest("cd" * 32), expires, signature, NOW)
    assert not OURS.check_object_signature(RUN, GRAPH, expires + 1, signature, NOW)
    assert not OURS.check_object_signature(RUN, GRAPH, expires, signature, SOON)
    assert not OURS.check_object_signature(RUN, GRAPH, expires, "ü", NOW)
    assert not THEIRS.check_object_signature(RUN, GRAPH, expires, signature, NOW)
    past = int(PAST.timestamp())
    assert not OURS.check_object_signature(RUN, GRAPH, past, OURS.object_signature(RUN, GRAPH, past), NOW)


def test_a_name_has_one_id_per_kind_and_per_server() -> None:
    assert OURS.name_id("email", "ann@x.org") == OURS.name_id("email", "ann@x.org")
    assert OURS.name_id("email", "ann@x.org") != OURS.name_id("username", "ann@x.org")
    assert OURS.name_id("email", "ann@x.org") != THEIRS.name_id("email", "ann@x.org")


def test_hashes_are_keyed() -> None:
    assert OURS.hash_token("t") == OURS.hash_token("t") != THEIRS.hash_token("t")
    assert OURS.request_hash(b"r") == OURS.request_hash(b"r") != THEIRS.request_hash(b"r")
    assert OURS.request_hash(b"t") != OURS.hash_token("t")


def test_every_purpose_has_its_own_key() -> None:
    purposes = ("names", "refresh tokens", "access tokens", "claim tokens", "object urls", "requests")
    assert len({derive(b"secret", purpose) for purpose in purposes}) == len(purposes)


def test_random_tokens_are_long_and_never_the_same() -> None:
    tokens = {OURS.random_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert min(map(len, tokens)) >= 43
