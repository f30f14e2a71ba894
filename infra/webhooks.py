"""The errand that sends webhooks: follow the log, replay ranges of it, send, tidy up."""

import asyncio
from uuid import UUID

from adapters.identity.secrets import ServerSecrets
from adapters.identity.webhook_box import WebhookBox, signature
from adapters.outbound.guard import Guard
from adapters.outbound.webhook_post import WebhookPost
from adapters.postgres.tail import PostgresTail
from adapters.postgres.webhook_ledger import PostgresLedger
from adapters.postgres.webhook_outbox import PostgresOutbox
from commands.dispatcher import Dispatcher
from commands.ports import LogUnavailableError
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, pool, together
from services.following import Follower
from services.webhooks.reacting import Delivering
from services.webhooks.replaying import Replaying
from services.webhooks.sending import Sender, SenderSettings
from services.webhooks.tidying import Tidying

PAUSE_S = 2.0  # before Postgres is looked for again


async def webhooks(settings: Settings, sender_settings: SenderSettings = SenderSettings()) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    secret = load_secret(settings)
    guard = Guard(private=settings.webhook_private_addresses)
    post = WebhookPost(guard)
    async with (
        pool(url) as connections,
        PostgresTail(url) as tail,
        PostgresTail(url) as replay_tail,
        needs(settings, ServerSecrets(secret), url) as wants,
    ):
        dispatcher, ledger = Dispatcher(wants), PostgresLedger(connections)
        sender = Sender(
            outbox=PostgresOutbox(connections, WebhookBox(secret)),
            post=post,
            sign=signature,
            dispatcher=dispatcher,
            log=await _identity(tail),
            settings=sender_settings,
        )
        try:
            await together(
                Follower(tail, Delivering(ledger, sender.wake)).run(),
                Replaying(ledger, replay_tail, sender.wake).run(),
                Tidying(ledger, dispatcher).run(),
                sender.run(),
            )
        finally:
            await post.aclose()
            guard.close()


async def _identity(tail: PostgresTail) -> UUID:
    while True:
        try:
            return await tail.identity()
        except LogUnavailableError:
            await asyncio.sleep(PAUSE_S)
