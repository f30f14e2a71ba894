"""Secrets of prompts: told to whoever hands the run out, and kept for everybody, whatever one account sends."""

from uuid import uuid4

import pytest

from adapters.nats import confidant
from adapters.nats.confidant import NatsConfidant
from domain.ids import AccountId, RunId
from tests.nats.conftest import Open


async def test_who_sends_many_secrets_loses_their_own_oldest_ones(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confidant, "MOST", 3)
    api, dispatch = NatsConfidant(await open_app()), NatsConfidant(await open_app())
    ann, eve, lone = AccountId(uuid4()), AccountId(uuid4()), RunId(uuid4())
    many = [RunId(uuid4()) for _ in range(5)]
    await api.keep(ann, lone, b"ann's")
    for run in many:
        await api.keep(eve, run, b"eve's")
    assert await dispatch.tell(lone) == b"ann's"
    assert [await dispatch.tell(run) for run in many] == [None, None, None, b"eve's", b"eve's"]
