"""The parts of the errand that builds exports."""

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.exports import PostgresExports
from adapters.postgres.tail import PostgresTail
from infra import objects
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, pool
from projections.own import OwnThings
from projections.reading import Reader
from services.export_archive import Material
from services.exporting import Exporting


async def exporting(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    query_url = needed(settings.query_database_url, "COMFYPLUS_QUERY_DATABASE_URL")
    async with (
        PostgresTail(url) as tail,
        pool(url, size=2) as connections,
        pool(query_url, size=2) as queries,
        needs(settings, ServerSecrets(load_secret(settings)), url) as wants,
        objects.stores(settings) as stored,
    ):
        things = OwnThings(Reader(queries))
        material = Material(things, tail, stored.objects)
        await Exporting(tail, PostgresExports(connections), stored.archives, material, wants).run()
