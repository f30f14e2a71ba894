"""What dispatch keeps of backends beside the log: who drives each of them."""

from datetime import datetime
from typing import Protocol


class BackendTable(Protocol):
    """Every method raises QueueUnavailableError."""

    async def assign(self, name: str, executor: str, until: datetime) -> bool:
        """Have it driven by this executor, unless another one does so. Whether it is this one's now."""
