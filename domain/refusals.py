"""Why a wish is not granted. The message is a sentence for the person who asked."""

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """One thing wrong with one field. `field` is a path such as `graph.3.inputs.images`."""

    field: str
    reason: str


class DomainError(Exception):
    """The root of every refusal."""


class NotFound(DomainError):
    """There is no such thing, or it is not yours to know of."""


class NotAuthenticated(DomainError):
    """Nobody is logged in, or not as the one they claim to be."""


class CodeNeeded(NotAuthenticated):
    """The password is right; a code of the second factor is needed as well."""


class NotAllowed(DomainError):
    """It exists and you may see it, but not do this to it."""


class Conflict(DomainError):
    """It cannot be done to the thing as it now is."""


class TooMany(DomainError):
    """A limit is reached; asking again after `retry_after_s` seconds makes sense."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Invalid(DomainError):
    """What was asked makes no sense; `errors` names each field at fault."""

    def __init__(self, message: str, *errors: FieldError) -> None:
        super().__init__(message)
        self.errors = errors
