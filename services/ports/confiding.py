"""Secrets that clients send with their prompts, for nodes that ask other services: on their way, and never stored."""

from typing import Protocol

from domain.ids import AccountId, RunId


class Confidant(Protocol):
    async def keep(self, owner: AccountId, run: RunId, secrets: bytes) -> None:
        """In memory, for an hour, until this process ends. Raises LogUnavailableError where nobody could ask for it.

        Where too much is kept, what goes is the oldest of the account that has the most.
        """

    async def tell(self, run: RunId) -> bytes | None:
        """What another process keeps of a run; None: none does, or it cannot be asked."""
