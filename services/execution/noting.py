"""What is good to know after a restart, but not worth an attempt."""

import logging

from domain.ids import AttemptId
from services.ports.executing import Spool, SpoolEntry, SpoolFullError

logger = logging.getLogger(__name__)


def noted(spool: Spool, attempt: AttemptId, entry: SpoolEntry) -> None:
    """Where there is no room, it is not known after kill -9: then the backend has to tell, or the attempt is lost."""
    try:
        spool.append(attempt, entry)
    except SpoolFullError:
        logger.warning("spool is full", extra={"attempt": str(attempt)})
