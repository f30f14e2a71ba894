"""`comfyplus project`: keeps every read model up to date."""

from adapters.nats.feed import NatsFeed
from adapters.postgres.tail import PostgresTail
from infra.settings import Settings
from infra.wiring import connect, nats, needed, read_models, until_told_to_stop
from projections.runner import Runner


async def run(settings: Settings) -> None:
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with (
        nats("project", settings.nats_url) as connection,
        read_models(settings) as models,
        PostgresTail(url) as log,
    ):
        runner = Runner(
            tuple(models.values()),
            connect(url),
            NatsFeed(connection, identity=log.identity),
            grace_s=settings.keep_replaced_s,
        )
        await until_told_to_stop(runner.run, connection)
