"""Multipart forms as ComfyUI's clients send them: some short fields and one file, which is not kept in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO

from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from adapters.http.gateway.call import Call
from adapters.http.problems import Malformed, TooLarge

FIELD_BYTES = 64 * 1024
MEMORY_BYTES = 1024 * 1024
MAX_PARTS = 16
NO_FORM = "Please send a form, with 'Content-Type: multipart/form-data'."
BROKEN = "The form cannot be read."


class Form(Struct):
    """`file`: the one that was sent as `wanted`, under `filename`; None: there is none."""

    fields: dict[str, str]
    filename: str = ""
    file: IO[bytes] | None = None


@asynccontextmanager
async def form(call: Call, wanted: str, limit_bytes: int) -> AsyncIterator[Form]:
    """Raises Malformed, TooLarge."""
    kind, options = parse_options_header(call.header("content-type"))  # type: ignore[no-untyped-call]  # as it is
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Malformed(NO_FORM)
    found = Form({})
    with SpooledTemporaryFile(MEMORY_BYTES) as spool:
        try:
            await _read(call, options["boundary"], wanted, found, _Limited(spool, limit_bytes))
        except (MultipartError, UnicodeDecodeError, LookupError) as error:
            raise Malformed(BROKEN) from error
        spool.seek(0)
        if found.file is not None:
            found.file = spool
        yield found


class _Limited:
    def __init__(self, spool: IO[bytes], limit_bytes: int) -> None:
        self.spool = spool
        self._limit = self._left = limit_bytes

    def write(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(f"The file has more than {self._limit} bytes.")
        self.spool.write(piece)


async def _read(call: Call, boundary: str, wanted: str, found: Form, into: _Limited) -> None:
    part: MultipartSegment | None = None
    text = bytearray()
    with PushMultipartParser(boundary, max_segment_count=MAX_PARTS) as parser:
        async for piece in call.pieces():
            for event in parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    part, text = event, bytearray()
                    if _is_file(part, wanted, found):
                        found.filename, found.file = part.filename or "", into.spool
                elif part is None:
                    raise Malformed(BROKEN)
                elif event is None:
                    _end(part, text, found)
                    part = None
                elif part.filename is None:
                    text += event
                    if len(text) > FIELD_BYTES:
                        raise TooLarge(f"A field of the form has more than {FIELD_BYTES} bytes.")
                elif part.name == wanted:
                    into.write(bytes(event))


def _is_file(part: MultipartSegment, wanted: str, found: Form) -> bool:
    """Raises Malformed for a second one."""
    if part.name != wanted or part.filename is None:
        return False
    if found.file is not None:
        raise Malformed("The form has more than one file.")
    return True


def _end(part: MultipartSegment, text: bytearray, found: Form) -> None:
    if part.filename is None and part.name:
        found.fields[part.name] = text.decode(part.charset or "utf-8")
