"""The parts that take in LoRAs, and the errand that tidies up behind them."""

from datetime import timedelta
from typing import Any

from psycopg_pool import AsyncConnectionPool

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.tail import PostgresTail
from adapters.postgres.uploads import PostgresUploads
from adapters.storage.upload_parts import DiskParts
from commands.dispatcher import Dispatcher
from domain.lora import Quota
from infra import objects
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs, pool
from projections.lora_needs import LoraNeeds
from services.lora_tidying import LoraTidying
from services.ports.uploading import LoraFiles
from services.uploading import LoraUploads, UploadLimits


def uploading(
    settings: Settings, dispatcher: Dispatcher, connections: AsyncConnectionPool[Any], files: LoraFiles
) -> LoraUploads:
    limits = UploadLimits(
        max_bytes=settings.max_lora_bytes,
        quota=Quota(settings.lora_quota, settings.lora_quota_bytes),
        kept=timedelta(seconds=settings.upload_kept_s),
    )
    return LoraUploads(
        PostgresUploads(connections),
        DiskParts(settings.data / "uploads"),
        files,
        dispatcher,
        limits,
    )


async def tidying(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with (
        PostgresTail(url) as tail,
        pool(url, size=2) as connections,
        needs(settings, ServerSecrets(load_secret(settings)), url) as wants,
        LoraNeeds(connect(project_url)) as runs,
        objects.stores(settings) as stored,
    ):
        await LoraTidying(
            tail,
            PostgresUploads(connections),
            DiskParts(settings.data / "uploads"),
            stored.loras,
            runs,
            uploading(settings, Dispatcher(wants), connections, stored.loras),
            wants,
            settle=timedelta(seconds=4 * settings.lease_s),
            every_s=settings.tidy_s,
        ).run()
