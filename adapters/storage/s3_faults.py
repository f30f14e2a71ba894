"""S3's faults in our words: its own tell addresses and keys."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientError as ConnectionFault
from botocore.exceptions import BotoCoreError, ClientError

from commands.ports import ObjectMissingError, ObjectsAwayError

ABSENT = {"404", "NoSuchKey", "NotFound"}
NO_SUCH_PART = {"416", "InvalidRange"}
CUT_OFF = (BotoCoreError, ConnectionFault, TimeoutError, OSError)


class NoSuchPart(Exception):
    """The object ends before that."""


@contextmanager
def told() -> Iterator[None]:
    """Raises ObjectMissingError, NoSuchPart, ObjectsAwayError."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ABSENT:
            raise ObjectMissingError("There is no such object.") from error
        if code in NO_SUCH_PART:
            raise NoSuchPart from error
        raise ObjectsAwayError(f"The object store answered {code[:50]}.") from error
    except CUT_OFF as error:
        raise ObjectsAwayError(f"The object store cannot be reached: {type(error).__name__}.") from error
