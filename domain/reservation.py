"""A reservation: one unique name (a username, an e-mail address) and the account that holds it.

The stream's id is a keyed hash of the canonical name, so the log holds no name that somebody could want forgotten.
"""

from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict


class NameReserved(Event, frozen=True, kw_only=True, tag="reservation.name_reserved.v1"):
    account: AccountId


class NameReleased(Event, frozen=True, kw_only=True, tag="reservation.name_released.v1"):
    account: AccountId


ReservationEvent: TypeAlias = NameReserved | NameReleased


class Reservation(Struct, frozen=True):
    holder: AccountId | None = None


def evolve(reservation: Reservation, event: ReservationEvent) -> Reservation:
    match event:
        case NameReserved(account=account):
            return Reservation(holder=account)
        case NameReleased():
            return Reservation()


RESERVATION: Decider[Reservation, ReservationEvent] = Decider(
    "reservation", Reservation(), evolve, lambda reservation: reservation.holder
)


def reserve(reservation: Reservation, *, account: AccountId, what: str) -> list[ReservationEvent]:
    """Take a free name. `what` is how the refusal calls it."""
    if reservation.holder == account:
        return []
    if reservation.holder is not None:
        raise Conflict(f"This {what} is already taken.")
    return [NameReserved(account=account)]


def release(reservation: Reservation, *, account: AccountId) -> list[ReservationEvent]:
    """Give a name back; somebody else's stays theirs."""
    return [NameReleased(account=account)] if reservation.holder == account else []
