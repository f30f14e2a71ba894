"""Request bodies: strict JSON, every unknown field and wrong type refused by name."""

import re
from typing import Any, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.typing import FieldDefinition

from adapters.http.problems import Malformed, WrongMediaType
from domain.refusals import FieldError, Invalid
from workflows.reading import NOT_THE_FORM, faults, field_error

T = TypeVar("T")

JSON = "application/json"
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def read_json(body: bytes, kind: type[T]) -> T:
    """Raises Malformed when it is no JSON, Invalid when it is JSON of another shape."""
    if b"\\u0000" in body and NUL.search(body):  # looked for in two steps: the first takes no time
        raise Malformed("The JSON contains the NUL character, which cannot be stored.")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(NOT_THE_FORM, *_faults(body, kind, str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise Malformed("The JSON is nested too deeply.") from error


class StrictBody(AbstractDTO[T]):
    """Lets Litestar read a body with `read_json` and describe it in OpenAPI by its Struct."""

    def decode_bytes(self, value: bytes) -> Any:
        self.check_media_type()
        return read_json(value, self.model_type)

    def check_media_type(self) -> None:
        """Raises WrongMediaType."""
        kind = self.asgi_connection.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind != JSON and not kind.endswith("+json"):
            raise WrongMediaType(f"The body must be JSON, sent with 'Content-Type: {JSON}'.")

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing to generate: the Struct is the form."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Any:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False


def either(usual: type[Any], other: type[Any], named: str) -> type[AbstractDTO[Any]]:
    """A body of two forms: the other one is what has a field of this name."""
    known = msgspec.json.Decoder(msgspec.defstruct("Named", [(named, Any, msgspec.UNSET)]))

    class Either(StrictBody[usual]):  # type: ignore[valid-type]  # it is made here
        def decode_bytes(self, value: bytes) -> Any:
            self.check_media_type()
            return read_json(value, other if _names(known, named, value) else usual)

    return Either


def _names(known: msgspec.json.Decoder[Any], named: str, body: bytes) -> bool:
    try:
        return getattr(known.decode(body), named) is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # whoever reads it tells why


def _faults(body: bytes, kind: type[Any], first: str) -> tuple[FieldError, ...]:
    """All of them where the rest of the body can be read at all."""
    try:
        return faults(msgspec.json.decode(body), kind) or (field_error(first),)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return (field_error(first),)
