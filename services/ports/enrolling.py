"""What dispatch keeps of backends beside the log: who drives each of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol


class BackendTable(Protocol):
    """Every method raises QueueUnavailableError."""

    async def assign(self, name: str, executor: str, until: datetime) -> bool:
        """Have it driven by this executor, unless another one does so. Whether it is this one's now."""

    async def stocks(self) -> Mapping[str, str]:
        """By backend, what its stock was last called."""

    async def take_stock(self, name: str, stock: str, has: Sequence[str]) -> None:
        """From now on it is given only what needs nothing but this."""
