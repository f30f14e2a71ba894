"""`comfyplus relay`: every event of the log into the stream EVENTS."""

from adapters.nats.events import NatsEventStream
from adapters.postgres.tail import PostgresTail
from infra.settings import Settings
from infra.wiring import nats, needed, until_told_to_stop
from services.relay import Relay


async def run(settings: Settings) -> None:
    url = needed(settings.relay_database_url, "COMFYPLUS_RELAY_DATABASE_URL")
    async with nats("relay", settings.nats_url) as connection, PostgresTail(url) as tail:
        await until_told_to_stop(Relay(tail, NatsEventStream(connection)).run, connection)
