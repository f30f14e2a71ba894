"""Lead the views back to the build that the live one has replaced, once it is up to date again."""

import logging
import time
from typing import Any

from psycopg import AsyncConnection

from projections import generations
from projections.generations import Generation
from projections.overtaking import Meter, Told, overtake
from projections.pages import Connect, LogPages
from projections.projection import Projection
from projections.rebuild import Rebuilt
from projections.skips import skipped
from projections.writer import Writer

logger = logging.getLogger(__name__)


class NotKeptError(Exception):
    """There is no earlier build that could be led back to."""


async def roll_back(
    projection: Projection, connection: AsyncConnection[Any], connect: Connect, told: Told = lambda _: None
) -> Rebuilt:
    """Over a connection that holds the builder's lock. Nobody who reads goes backward.

    Raises NotKeptError, PoisonError, SwapFailedError, psycopg.OperationalError; then the live build is unchanged.
    """
    begun = time.monotonic()
    skips = await skipped(connection, projection.name)
    build = usable(projection, await generations.kept(connection, projection.name), skips)
    if not await generations.bring_back(connection, build):
        raise NotKeptError(f"The build of {projection.name} before the live one has just been dropped.")
    pages = LogPages(connect, reads=projection.reads)
    try:
        writer = Writer(projection, build, connection, skips)
        meter = Meter(await pages.head(), told, build.position)
        swap_s = await overtake(writer, pages, meter)
    except BaseException:
        if not connection.closed and not connection.broken:
            await generations.retire(connection, build)
        raise
    finally:
        await pages.close()
    logger.info("read model rolled back", extra={"projection": build.name, "generation": build.generation})
    return Rebuilt(build.generation, writer.position, time.monotonic() - begun, 0.0, swap_s)


def usable(projection: Projection, build: Generation | None, skips: frozenset[int]) -> Generation:
    """The build, if this program can go on with it. Raises NotKeptError with the reason why not."""
    name = projection.name
    if build is None:
        raise NotKeptError(f"No earlier build of {name} is kept any more.")
    if build.version != projection.version:
        raise NotKeptError(
            f"The build of {name} before the live one is of version {build.version}, which this program "
            f"(version {projection.version}) does not build. Ask the program that does."
        )
    if not build.honours(skips):
        raise NotKeptError(
            f"Events are left out of {name} that were not, or the other way: rebuild it instead."
        )
    return build
