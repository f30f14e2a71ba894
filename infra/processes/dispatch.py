"""`comfyplus dispatch`: the queue, and what executors ask of it."""

from datetime import timedelta

from adapters.identity.secrets import ServerSecrets
from adapters.nats.confidant import NatsConfidant
from adapters.nats.dispatching import NatsDispatchServer
from adapters.postgres.backend_table import PostgresBackendTable
from adapters.postgres.plans import PLANNED_ONCE
from adapters.postgres.queue import PostgresQueue
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra.settings import Settings, load_secret
from infra.wiring import allowance, nats, needed, needs, now, pool, until_told_to_stop
from services.dispatch.answering import Answering, Leases
from services.dispatch.folding import Folding
from services.dispatch.roll import Roll
from services.dispatch.rousing import Rousing
from services.dispatch.service import dispatch
from services.dispatch.sweeping import Sweeping


async def run(settings: Settings) -> None:
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    secrets = ServerSecrets(load_secret(settings))
    lease = timedelta(seconds=settings.lease_s)
    async with (
        nats("dispatch", settings.nats_url) as connection,
        pool(url, options=PLANNED_ONCE) as connections,
        PostgresTail(url) as tail,
        needs(settings, secrets, url) as wants,
    ):
        queue, server, dispatcher = (
            PostgresQueue(connections, running=allowance(settings).running, lease_s=settings.lease_s),
            NatsDispatchServer(connection),
            Dispatcher(wants),
        )
        rousing = Rousing(queue, server)
        folding = Folding(tail, queue, server, wants.streams)
        roll = Roll(queue, PostgresBackendTable(connections), dispatcher)
        answering = Answering(
            queue,
            folding,
            roll,
            dispatcher,
            wants.contents,
            secrets,
            now,
            NatsConfidant(connection),
            rousing,
            Leases(lease),
        )
        sweeping = Sweeping(queue, dispatcher, server, now, every_s=settings.sweep_s, lease=lease)
        await until_told_to_stop(lambda: dispatch(server, folding, answering, sweeping, rousing), connection)
