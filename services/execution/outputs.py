"""Copying what a run made: out of the backend, onto our disk, into the object store, with thumbnails."""

import asyncio
import mimetypes
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

from domain.attempt import MAX_OUTPUTS
from domain.ids import AttemptId, Digest
from domain.outcome import FileType, Image, Output
from services.execution.attempt import Attempt, OutputsLostError
from services.execution.failures import UNREACHABLE, missing_output, too_many_outputs
from services.execution.pauses import pauses
from services.execution.settings import ExecutorSettings
from services.execution.uniqueness import within
from services.ports.backend import BackendFile, BackendLink, BackendUnavailableError, OutputMissingError
from services.ports.executing import (
    ClaimObjects,
    Imaging,
    ObjectRefusedError,
    ObjectsUnavailableError,
    Spool,
    Thumbnail,
    TokenRefusedError,
)
from services.ports.messages import Stored

AT_ONCE = 4  # files of one attempt
BEATS_FOR_A_TOKEN = 3
HASHED_AT_ONCE = 1 << 20  # bytes; more would hold up everybody else
MAX_NAME = 200
RECENT = 1_000  # digests that are known to be stored
SLOW_BYTES = 1 << 20  # storing takes so long that it is kept in the spool from the beginning
SLOW_S = 0.25  # what is not stored by then is kept there, too
RECENT_S = 30.0  # nothing is removed so soon after it was stored
UNKNOWN_TYPE = "application/octet-stream"
ACTIVE = {"text/html", "application/xhtml+xml", "image/svg+xml", "text/javascript", "application/javascript"}
"""Types that a browser would execute: nobody gets to publish those under our address."""


class Copier:
    def __init__(
        self, objects: ClaimObjects, imaging: Imaging, spool: Spool, settings: ExecutorSettings
    ) -> None:
        self._objects = objects
        self._imaging = imaging
        self._spool = spool
        self._settings = settings
        self._recent: OrderedDict[Digest, float] = OrderedDict()

    async def copy(self, attempt: Attempt, link: BackendLink, files: Sequence[BackendFile]) -> list[Stored]:
        """Everything, in order. Raises OutputsLostError."""
        if len(files) > MAX_OUTPUTS:
            raise OutputsLostError(too_many_outputs(MAX_OUTPUTS))
        if len(files) == 1 and files[0] not in attempt.copied:
            return [await self._copy(attempt, link, files[0], number=0, index=0)]
        places = asyncio.Semaphore(AT_ONCE)
        of_node: Counter[str] = Counter()
        tasks: list[asyncio.Task[Stored]] = []

        async def in_place(file: BackendFile, number: int, index: int) -> Stored:
            if (before := attempt.copied.get(file)) is not None and before.output.index == index:
                return before
            async with places:
                return await self._copy(attempt, link, file, number=number, index=index)

        try:
            async with asyncio.TaskGroup() as group:
                for number, file in enumerate(files):
                    tasks.append(group.create_task(in_place(file, number, of_node[file.node])))
                    of_node[file.node] += 1
        except* OutputsLostError as lost:
            first = lost.exceptions[0]
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        return [task.result() for task in tasks]

    async def copy_ahead(
        self, attempt: Attempt, link: BackendLink, files: Sequence[BackendFile]
    ) -> list[Stored]:
        """Those of one node of the graph, before the attempt has ended. Raises OutputsLostError."""
        for index, file in enumerate(files):
            number = MAX_OUTPUTS + len(attempt.copied)  # what the others are numbered is not known yet
            attempt.copied[file] = await self._copy(attempt, link, file, number=number, index=index)
        return [attempt.copied[file] for file in files]

    async def _copy(
        self, attempt: Attempt, link: BackendLink, file: BackendFile, *, number: int, index: int
    ) -> Stored:
        body = await self._spool.kept(attempt.id, number)
        safe = _Safe(self._spool, attempt.id, number, body)
        if body is None:
            body = safe.body = await self._fetch(link, file)
            if len(body) >= SLOW_BYTES:
                await safe.keep()
        digest = await _digest(body)
        picture = await self._imaging.picture(body)
        media_type = picture.media_type if picture else _media_type(file.filename)
        thumbnails = [(await _digest(thumb.body), thumb) for thumb in picture.thumbnails] if picture else []
        bodies = {digest: (body, media_type)}
        bodies |= {name: (thumb.body, thumb.media_type) for name, thumb in thumbnails}
        async with safe.kept_if_slow():
            await asyncio.gather(
                *(
                    self._put(attempt, file, safe, name, *stored)
                    for name, stored in bodies.items()
                    if not self._stored_just_now(name)
                )
            )
        output = Output(
            node=file.node,
            index=index,
            name=_name(file.filename),
            digest=digest,
            size_bytes=len(body),
            media_type=media_type,
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
            thumbnails=tuple(_image(name, thumb) for name, thumb in thumbnails),
            subfolder=within(file.subfolder, attempt.id),
            type=FileType.TEMP if file.type == FileType.TEMP else FileType.OUTPUT,
        )
        return Stored(output=output)

    async def _fetch(self, link: BackendLink, file: BackendFile) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.backend_patience_s
        for pause_s in pauses(self._settings.retry_s):
            try:
                return await link.fetch(file, self._settings.file_limit_bytes)
            except OutputMissingError as error:
                raise OutputsLostError(missing_output(file.node, str(error))) from error
            except BackendUnavailableError as error:
                if loop.time() > deadline:
                    raise OutputsLostError(UNREACHABLE) from error
                await asyncio.sleep(pause_s)
        raise AssertionError("pauses never end")

    async def _put(
        self, attempt: Attempt, file: BackendFile, safe: "_Safe", digest: Digest, body: bytes, media_type: str
    ) -> None:
        """Until the object store has it: it may be away for as long as dispatch leaves us the attempt."""
        refusals = 0
        for pause_s in pauses(self._settings.retry_s):
            token = attempt.token
            attempt.token_changed.clear()
            try:
                await self._objects.put(digest, body, media_type, token)
            except ObjectsUnavailableError:
                await safe.keep()
                await asyncio.sleep(pause_s)
            except TokenRefusedError as error:
                await safe.keep()
                refusals += 1
                if refusals > BEATS_FOR_A_TOKEN:
                    raise OutputsLostError(
                        missing_output(file.node, "The claim was not accepted.")
                    ) from error
                await self._another_token(attempt)
            except ObjectRefusedError as error:
                raise OutputsLostError(missing_output(file.node, "It was refused by the store.")) from error
            else:
                self._recent[digest] = asyncio.get_running_loop().time()
                self._recent.move_to_end(digest)
                while len(self._recent) > RECENT:
                    self._recent.popitem(last=False)
                return

    def _stored_just_now(self, digest: Digest) -> bool:
        """What was stored longer ago may have been removed with the run that it was of."""
        at = self._recent.get(digest)
        return at is not None and asyncio.get_running_loop().time() - at < RECENT_S

    async def _another_token(self, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(self._settings.beat_s * 2):
                await attempt.token_changed.wait()
        except TimeoutError:
            pass


class _Safe:
    """The spool's place for one output. Kept there is what is not stored at once: until then the backend has it."""

    def __init__(self, spool: Spool, attempt: AttemptId, number: int, kept: bytes | None) -> None:
        self.body = kept or b""
        self._spool = spool
        self._place = (attempt, number)
        self._kept = kept is not None

    async def keep(self) -> None:
        if not self._kept:
            self._kept = True
            await self._spool.keep(*self._place, self.body)

    @asynccontextmanager
    async def kept_if_slow(self) -> AsyncIterator[None]:
        """A store that neither takes nor refuses what it is sent may go on so for longer than the backend has it."""
        keeping: list[asyncio.Task[None]] = []
        timer = asyncio.get_running_loop().call_later(
            SLOW_S, lambda: keeping.append(asyncio.create_task(self.keep()))
        )
        try:
            yield
        finally:
            timer.cancel()
            await asyncio.gather(*keeping)


async def _digest(body: bytes) -> Digest:
    if len(body) <= HASHED_AT_ONCE:
        return Digest(sha256(body).hexdigest())
    return Digest((await asyncio.to_thread(sha256, body)).hexdigest())


def _media_type(filename: str) -> str:
    guessed = mimetypes.guess_type(filename)[0] or UNKNOWN_TYPE
    return UNKNOWN_TYPE if guessed in ACTIVE else guessed


def _name(filename: str) -> str:
    """As the backend named it, without folders."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-MAX_NAME:] or "output"


def _image(digest: Digest, thumbnail: Thumbnail) -> Image:
    return Image(digest, len(thumbnail.body), thumbnail.media_type, thumbnail.width, thumbnail.height)
