"""Writing an entry of a zip chunk by chunk: compressing is left to a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

LEVEL = 4  # of compression: JSON gets hardly smaller with more


@asynccontextmanager
async def entry(
    archive: ZipFile, name: str, *, packed: bool
) -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    """Gives what writes a chunk of it. `packed`: it is compressed already."""
    about = ZipInfo(name)
    about.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
    about.external_attr = 0o600 << 16
    writing = archive.open(about, "w", force_zip64=True)
    try:
        yield lambda chunk: asyncio.to_thread(writing.write, chunk)
    finally:
        await asyncio.to_thread(writing.close)
