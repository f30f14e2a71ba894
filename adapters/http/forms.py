"""Bodies that are streams: raw ones, and forms with a file in them of which only a piece is ever in memory."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from adapters.http.problems import Malformed, WrongMediaType
from commands.streams import Context
from domain.refusals import FieldError, Invalid

MULTIPART = "multipart/form-data"
MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
BROKE_OFF = "The body broke off."


class Field:
    """One field of a form. Its body is read by one of the two, before the next field."""

    def __init__(self, segment: MultipartSegment, events: AsyncIterator[Any]) -> None:
        self.name = segment.name or ""
        self.file = segment.filename
        self._events = events

    async def chunks(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            if event is None:
                return
            yield bytes(event)

    async def text(self) -> str:
        """Raises Invalid."""
        body = b""
        async for chunk in self.chunks():
            body += chunk
            if len(body) > MAX_FIELD_BYTES:
                raise Invalid("A field of the form is too long.", FieldError(self.name, "Too long."))
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise Invalid("A field is no text.", FieldError(self.name, "It is not UTF-8.")) from error


async def form(request: Request[Any, Any, Any]) -> AsyncIterator[Field]:
    """A form's fields as they arrive. Raises WrongMediaType, Malformed."""
    sent_as = request.headers.get("content-type", "")
    kind, options = parse_options_header(sent_as)  # type: ignore[no-untyped-call]
    if kind != MULTIPART or not options.get("boundary"):
        raise WrongMediaType("A form is expected here, sent as multipart/form-data.")
    events = _events(request, options["boundary"])
    async for event in events:
        if isinstance(event, MultipartSegment):
            yield Field(event, events)


def only_file(
    field: str,
) -> Callable[[Request[Any, Any, Any], NamedDependency[Context]], AsyncIterator[UploadFile]]:
    """A dependency: the one file of a form, whatever its field is called. `field`: as it should be.

    After `context`, which reads the body where there is a key; of strangers nothing is read.
    """

    async def file(
        request: Request[Any, Any, Any], context: NamedDependency[Context]
    ) -> AsyncIterator[UploadFile]:
        """Raises Malformed, WrongMediaType."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MULTIPART:
            raise WrongMediaType(f"The file must be sent as a form, with 'Content-Type: {MULTIPART}'.")
        sent = await request.form()
        files = [value for value in sent.values() if isinstance(value, UploadFile)]
        try:
            if len(files) != 1:
                raise Malformed(f"The form must have one file in it, as the field `{field}`.")
            yield files[0]
        finally:
            for each in files:
                await each.close()

    return file


@dataclass
class WithFile(Operation):
    """The form, for readers of OpenAPI."""

    def __post_init__(self) -> None:
        content = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": content}, required=["file"])
        self.request_body = RequestBody(content={MULTIPART: OpenAPIMediaType(schema=form)}, required=True)


async def stream(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body. Raises Malformed when its sender goes away."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except InternalServerException as error:
        raise Malformed(BROKE_OFF) from error


async def _events(request: Request[Any, Any, Any], boundary: str) -> AsyncIterator[Any]:
    """A segment, its pieces, None; and so on."""
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS)
        async for chunk in stream(request):
            for event in parser.parse(chunk):
                yield event
        for event in parser.parse(b""):
            yield event
    except MultipartError as error:
        raise Malformed("The form cannot be read.") from error
