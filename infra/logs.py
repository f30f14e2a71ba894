"""Log records of every module as one line each: a fixed message, the facts as fields."""

import logging
import sys
from datetime import UTC, datetime

from infra.settings import Level

QUIET = ("httpx", "httpcore", "asyncio", "nats", "websockets", "uvicorn.access")
NO_FACTS = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}


def configure(level: Level, process: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Facts())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(__name__).debug("logging", extra={"process": process})


class Facts(logging.Formatter):
    """`timestamp=... level=... event=... fact=...`; a failure's trace comes last, with lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields |= {name: fact for name, fact in record.__dict__.items() if name not in NO_FACTS}
        failure = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return " ".join(f"{name}={_shown(fact)}" for name, fact in fields.items()) + failure


def _shown(fact: object) -> str:
    """Words as they are, but for what could pass for another line."""
    return fact if isinstance(fact, str) and fact.isprintable() else repr(fact)
