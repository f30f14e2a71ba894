"""What is over is removed in time, and who falls too far behind is let go."""

from uuid import uuid4

from adapters.postgres.webhook_ledger import PostgresLedger
from commands.streams import Change, Context
from commands.webhooks import ChangeWebhook, CreateWebhook, DisableWebhook, RotateSecret
from domain.account import ACCOUNT, AccountErased
from domain.ids import AccountId, Actor
from domain.webhook import WEBHOOK, Reason
from infra.wiring import pool
from services.webhooks.tidying import Tidying
from tests.webhooks.ground import Ground, sending
from tests.webhooks.receiver import Receiver, Reply


async def test_what_ended_long_ago_is_removed(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, f"{receiver.url}/")
    async with sending(ground):
        positions = await ground.happen(ann, 3)
        await ground.until(made.webhook, *["delivered"] * 3)
    await ground.sql(
        "UPDATE work.webhook_deliveries SET ended_at = now() - interval '31 days' WHERE position < %s",
        positions[2],
    )
    async with pool(str(ground.settings.app_database_url)) as connections:
        await Tidying(PostgresLedger(connections), ground.dispatcher).step()
    assert [each.position for each in await ground.deliveries(made.webhook)] == positions[2:]


async def test_who_falls_too_far_behind_is_disabled(ground: Ground, receiver: Receiver) -> None:
    ann, bob = await ground.person(), await ground.person()
    slow = await ground.webhook(ann, f"{receiver.url}/slow")
    quick = await ground.webhook(bob, f"{receiver.url}/quick")
    receiver.answer = lambda got: Reply(500 if got.path == "/slow" else 200)
    async with sending(ground):
        await ground.happen(ann, 6)
        await ground.happen(bob, 6)
        await ground.until(quick.webhook, *["delivered"] * 6)
        async with pool(str(ground.settings.app_database_url)) as connections:
            await Tidying(PostgresLedger(connections), ground.dispatcher, most=5).step()
        await ground.until(slow.webhook, *["skipped"] * 6)
    state, _ = await ground.dispatcher.needs.streams.load(WEBHOOK, slow.webhook)
    assert state.disabled is Reason.BEHIND
    assert (await ground.dispatcher.needs.streams.load(WEBHOOK, quick.webhook))[0].active


async def test_a_webhook_whose_event_was_never_written_is_forgotten(ground: Ground) -> None:
    """The request died between the two."""
    ann = AccountId(uuid4())
    orphan = uuid4()
    await ground.dispatcher.needs.webhooks.keep(orphan, ann, {uuid4(): "https://example.org"})
    await ground.sql("UPDATE work.webhook_sealed SET made_at = now() - interval '2 hours'")
    made = await ground.wish(CreateWebhook(owner=ann, url="https://example.org"), ann)
    assert await ground.dispatcher.needs.webhooks.owned(ann) == [made.webhook]


async def test_an_erased_account_leaves_nothing_whatever_came_later(
    ground: Ground, receiver: Receiver
) -> None:
    """A request that was under way may still change a webhook of an account that is gone."""
    ann, bob = await ground.person(), await ground.person()
    made = await ground.webhook(ann, receiver.url)
    kept = await ground.webhook(bob, receiver.url)
    async with sending(ground):
        await ground.change(ann, "one")
        await ground.until(made.webhook, "delivered")
        erased = Change(ACCOUNT, ann.id, lambda state: [AccountErased()])
        context = Context(actor=Actor("tests"), correlation=uuid4())
        await ground.dispatcher.needs.streams.transact(context, erased)
        await ground.wish(ChangeWebhook(by=ann.id, webhook=made.webhook, description="too late"), ann.id)
        await ground.wish(RotateSecret(by=ann.id, webhook=made.webhook), ann.id)
        await ground.change(ann, "nobody is told")
        await ground.change(bob, "bob is told")
        await ground.until(kept.webhook, "delivered")
        await ground.followed()
    assert [webhook for (webhook,) in await ground.sql("SELECT webhook FROM work.webhooks")] == [kept.webhook]
    assert await ground.deliveries(made.webhook) == []
    assert len(receiver.got) == 2


async def test_who_is_disabled_twice_is_disabled_once(ground: Ground, receiver: Receiver) -> None:
    ann = await ground.person()
    made = await ground.webhook(ann, receiver.url)
    for _ in range(2):
        await ground.wish(DisableWebhook(webhook=made.webhook, reason=Reason.BEHIND), ann.id)
    assert (await ground.dispatcher.needs.streams.load(WEBHOOK, made.webhook))[1] == 2
