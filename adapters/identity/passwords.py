"""Passwords as argon2id hashes, computed beside the event loop, a few at a time."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.refusals import TooMany

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2  # each takes 64 MiB and a core for some 50 ms; more at once would starve everything else
WAITING = 200  # some five seconds of work; who comes then had better come later
COME_BACK_S = 5


class Argon2Passwords:
    """The Passwords port. Raises TooMany when a crowd is waiting already."""

    def __init__(self, hasher: PasswordHasher | None = None, *, waiting_limit: int = WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._waiting_limit = waiting_limit
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        return await self._in_turn(self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        return await self._in_turn(self._verify, password, password_hash)

    async def _in_turn(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        if self._waiting >= self._waiting_limit:
            raise TooMany("Too many people are logging in just now.", retry_after_s=COME_BACK_S)
        self._waiting += 1
        try:
            async with self._gate:
                return await asyncio.to_thread(work, *arguments, **named)
        finally:
            self._waiting -= 1

    def _verify(self, password: str, password_hash: str | None) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash("nobody's password")
        try:
            right = self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return right and password_hash is not None
