"""Passwords and codes may be tried so often only: for each login, and from each address.

An attempt counts before it is known whether it is right, so that many at once are no more than one after the other.
Logins that nobody has are counted alike.
"""

import math
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from uuid import UUID

from msgspec import Struct

from commands.identity_ports import Tries
from commands.needs import Needs
from domain.refusals import TooMany

TOO_OFTEN = "Too many attempts. Please wait."


class Attempt(Struct, frozen=True):
    """What is given back when it was a right one."""

    keys: tuple[tuple[UUID, Tries], ...]


async def attempt(kind: str, whose: str, address: str, needs: Needs, *, most: int | None = None) -> Attempt:
    """`whose`: what is guessed at. An empty `address` is not counted. Raises TooMany."""
    limits, taken = needs.limits, list[tuple[UUID, Tries]]()
    counted = [(kind, whose, limits.wrong_attempts if most is None else most)]
    if address:
        counted.append(("address", network(address), limits.wrong_attempts_of_address))
    for what, which, most in counted:
        if most == 0:
            continue
        tries = Tries(most, limits.attempts_window)
        key = needs.secrets.name_id(f"attempts {what}", which)
        left = await needs.attempts.take(key, tries, needs.now())
        if left:
            await right(Attempt(tuple(taken)), needs)
            raise TooMany(TOO_OFTEN, retry_after_s=math.ceil(left / timedelta(seconds=1)))
        taken.append((key, tries))
    return Attempt(tuple(taken))


async def right(attempt: Attempt, needs: Needs) -> None:
    """It was no wrong one: it does not count."""
    for key, tries in attempt.keys:
        await needs.attempts.give_back(key, tries, needs.now())


def network(address: str) -> str:
    """What counts as one address: who has one of IPv6 has a network of them."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(int(found) >> 64) if isinstance(found, IPv6Address) else str(found)
