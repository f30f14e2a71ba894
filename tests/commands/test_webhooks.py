"""Wishes about webhooks, in memory."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.ports import KeyReused, Outdated
from commands.webhooks import (
    MAX_WEBHOOKS,
    ChangeWebhook,
    CreateWebhook,
    DeleteWebhook,
    DisableWebhook,
    ReplayRange,
    RotateSecret,
    Secret,
    SendAgain,
    TryWebhook,
)
from domain.ids import AccountId, Position
from domain.refusals import Conflict, Invalid, NotFound, TooMany
from domain.webhook import WEBHOOK, Reason, Webhook
from tests.commands.ground import Ground

ANN, BOB = AccountId(uuid4()), AccountId(uuid4())
URL = "https://example.org/hooks"


async def made(ground: Ground, **more: Any) -> Secret:
    secret: Secret = await ground.wish(CreateWebhook(owner=ANN, url=URL, **more), actor=str(ANN))
    return secret


async def state(ground: Ground, webhook: UUID) -> Webhook:
    found, _ = await ground.dispatcher.needs.streams.load(WEBHOOK, webhook)
    return found


async def test_a_webhook_is_made_with_a_secret_of_its_own(ground: Ground) -> None:
    first, second = await made(ground), await made(ground)
    assert first.secret is not None
    kind, _, body = first.secret.partition("_")
    assert kind == "whsec"
    assert 24 <= len(base64.b64decode(body, validate=True)) <= 64
    assert first.secret != second.secret
    assert await ground.told(first.webhook) == ["webhook.created.v1"]
    assert URL not in repr(await ground.happened())
    assert first.secret not in repr(await ground.happened())


async def test_a_webhook_may_begin_paused(ground: Ground) -> None:
    webhook = (await made(ground, active=False)).webhook
    assert await ground.told(webhook) == ["webhook.created.v1", "webhook.paused.v1"]


async def test_the_same_request_gets_the_same_secret(ground: Ground) -> None:
    wish = CreateWebhook(owner=ANN, url=URL)
    first = await ground.wish(wish, actor=str(ANN), key="a")
    assert await ground.wish(wish, actor=str(ANN), key="a") == first
    rotation = RotateSecret(by=ANN, webhook=first.webhook)
    second = await ground.wish(rotation, actor=str(ANN), key="b")
    assert await ground.wish(rotation, actor=str(ANN), key="b") == second
    with pytest.raises(KeyReused):
        await ground.wish(CreateWebhook(owner=ANN, url=URL + "/x"), actor=str(ANN), key="a")
    assert await ground.told(first.webhook) == ["webhook.created.v1", "webhook.secret_rotated.v1"]


async def test_what_cannot_be_dialled_or_is_no_type_is_refused(ground: Ground) -> None:
    for wrong in (
        {"url": "http://127.0.0.1/"},
        {"url": "x"},
        {"types": ("nothing.*",)},
        {"description": "x" * 501},
    ):
        with pytest.raises(Invalid):
            await ground.wish(CreateWebhook(owner=ANN, **({"url": URL} | wrong)))  # type: ignore[arg-type]
    assert await ground.happened() == []
    assert ground.webhooks.values == {}


async def test_nobody_has_too_many(ground: Ground) -> None:
    for _ in range(MAX_WEBHOOKS):
        await made(ground)
    with pytest.raises(Conflict, match="20 webhooks"):
        await made(ground)
    await ground.wish(CreateWebhook(owner=BOB, url=URL))


async def test_the_same_url_is_no_change(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    await ground.wish(ChangeWebhook(by=ANN, webhook=webhook, url=URL))
    assert await ground.told(webhook) == ["webhook.created.v1"]
    await ground.wish(ChangeWebhook(by=ANN, webhook=webhook, url=URL + "/new", active=False))
    assert await ground.told(webhook) == ["webhook.created.v1", "webhook.changed.v1", "webhook.paused.v1"]
    address = (await state(ground, webhook)).address
    assert address is not None
    assert await ground.webhooks.opened(webhook, [address]) == {address: URL + "/new"}


async def test_a_change_meant_for_an_older_revision_is_refused(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    await ground.wish(ChangeWebhook(by=ANN, webhook=webhook, description="x", expected=1))
    with pytest.raises(Outdated):
        await ground.wish(ChangeWebhook(by=ANN, webhook=webhook, description="y", expected=1))
    with pytest.raises(Outdated):
        await ground.wish(DeleteWebhook(by=ANN, webhook=webhook, expected=1))


async def test_a_refused_change_keeps_nothing(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    before = dict(ground.webhooks.values)
    for wish in (
        ChangeWebhook(by=BOB, webhook=webhook, url=URL + "/bob"),
        ChangeWebhook(by=ANN, webhook=webhook, url=URL + "/x", types=("nothing.*",)),
        RotateSecret(by=BOB, webhook=webhook),
    ):
        with pytest.raises((NotFound, Invalid)):
            await ground.wish(wish)
    assert ground.webhooks.values == before


async def test_the_system_disables(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    for _ in range(2):
        await ground.wish(DisableWebhook(webhook=webhook, reason=Reason.FAILING), actor="webhooks")
    assert await ground.told(webhook) == ["webhook.created.v1", "webhook.disabled.v1"]


async def test_one_trial_at_a_time(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    first = await ground.wish(TryWebhook(by=ANN, webhook=webhook), actor=str(ANN), key="a")
    assert await ground.wish(TryWebhook(by=ANN, webhook=webhook), actor=str(ANN), key="a") == first
    with pytest.raises(TooMany):
        await ground.wish(TryWebhook(by=ANN, webhook=webhook))


async def test_a_range_ends_where_the_log_does(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    replay = await ground.wish(ReplayRange(by=ANN, webhook=webhook, after=Position(0), until=Position(99)))
    assert (replay.after, replay.until) == (0, 1)
    with pytest.raises(Conflict, match="under way"):
        await ground.wish(ReplayRange(by=ANN, webhook=webhook, after=Position(0)))


async def test_a_range_by_time(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    ground.wait(timedelta(hours=1))
    await ground.wish(ChangeWebhook(by=ANN, webhook=webhook, description="x"))
    half = ground.now() - timedelta(minutes=30)
    assert (await ground.wish(ReplayRange(by=ANN, webhook=webhook, after=half))).after == 1


async def test_a_range_that_makes_no_sense_is_refused(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    with pytest.raises(Invalid):
        await ground.wish(ReplayRange(by=ANN, webhook=webhook, after=Position(1), until=Position(0)))
    with pytest.raises(Invalid):
        await ground.wish(ReplayRange(by=ANN, webhook=webhook, after=Position(0), types=("nothing",)))
    assert ground.webhooks.replays == {}


async def test_a_stranger_finds_no_webhook(ground: Ground) -> None:
    webhook = (await made(ground)).webhook
    for wish in (
        ChangeWebhook(by=BOB, webhook=webhook),
        DeleteWebhook(by=BOB, webhook=webhook),
        TryWebhook(by=BOB, webhook=webhook),
        SendAgain(by=BOB, webhook=webhook, delivery=uuid4()),
        ReplayRange(by=BOB, webhook=webhook, after=Position(0)),
        SendAgain(by=ANN, webhook=webhook, delivery=uuid4()),
    ):
        with pytest.raises(NotFound):
            await ground.wish(wish)
