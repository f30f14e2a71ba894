"""What accounts have used of the machines, and what that cost."""

from datetime import UTC, date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.run_answers import UsagePage
from domain.ids import AccountId
from domain.prices import Prices
from domain.refusals import FieldError, Invalid
from projections import usage

MAX_DAYS = 366
USUAL = timedelta(days=30)
FirstDay: TypeAlias = Annotated[
    date | None,
    QueryParameter(name="from", description="A day of UTC; left out: 30 days before.", examples=[]),
]
LastDay: TypeAlias = Annotated[
    date | None, QueryParameter(name="to", description="The last one; left out: today.", examples=[])
]
Cost = Annotated[float, Meta(description="By the prices of now, in the unit of whoever set them.")]


class MachineUsage(Struct):
    """A backend; its name is empty where nobody has said which one it was."""

    backend: str
    run_seconds: float
    cost: Cost


class UsageSums(Struct, kw_only=True):
    """`storage_bytes`: of outputs at the end; `stored_bytes`: of those that came. `run_seconds`: also of lost ones."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    run_seconds: float = 0.0
    cost: Cost = 0.0
    stored_bytes: int = 0
    storage_bytes: int = 0
    machines: list[MachineUsage]


class CostDay(UsageSums, kw_only=True):
    day: Annotated[str, Meta(examples=["2026-11-30"])]


class CostAnswer(Struct):
    """Every day of the time that was asked for, the first first."""

    days: list[CostDay]
    total: UsageSums


class AccountUsage(UsageSums, kw_only=True):
    account: AccountId


class AccountUsagePage(Struct):
    items: list[AccountUsage]
    next_cursor: Cursor


@get("/usage", responses=answers(200, UsagePage, 401, 422))
async def mine(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 31,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your runs and their seconds, day by day (UTC), the newest first; days without runs are left out."""
    return await reader.page(usage.own_days, caller.account, limit=limit, cursor=cursor)


@get("/accounts/me/usage", responses=answers(200, CostAnswer, 401, 422))
async def my_costs(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    first: FirstDay = None,
    last: LastDay = None,
) -> CostAnswer:
    """What your runs have used and cost, and what your outputs took, day by day."""
    return await _costs(caller.account, first, last, parts, reader)


@get("/admin/usage", responses=answers(200, CostAnswer, 401, 403, 422))
async def all_costs(
    parts: NamedDependency[Parts],
    overseer: NamedDependency[Reader],
    first: FirstDay = None,
    last: LastDay = None,
) -> CostAnswer:
    """The same of all accounts together, with every backend."""
    return await _costs(None, first, last, parts, overseer)


@get("/admin/usage/accounts", responses=answers(200, AccountUsagePage, 401, 403, 422))
async def by_account(
    parts: NamedDependency[Parts],
    overseer: NamedDependency[Reader],
    first: FirstDay = None,
    last: LastDay = None,
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> AccountUsagePage:
    """What each account has used in that time, in the order of their ids; who had nothing then is left out."""
    since, until = day_range(first, last, parts)
    found = msgspec.json.decode(
        await overseer.ask(
            usage.accounts, limit=limit, after=cursor, since=since.isoformat(), until=until.isoformat()
        )
    )
    items = []
    for row in found["items"]:
        machines = _priced(row.pop("machines"), parts.prices)
        row |= {"machines": machines, "cost": _sum(machines)}
        items.append(msgspec.convert(row, AccountUsage))
    return AccountUsagePage(items, found["next_cursor"])


async def _costs(
    account: AccountId | None, first: date | None, last: date | None, parts: Parts, reader: Reader
) -> CostAnswer:
    since, until = day_range(first, last, parts)
    found = msgspec.json.decode(
        await reader.ask(usage.between, account, since.isoformat(), until.isoformat())
    )
    rows = {row["day"]: row for row in found["days"]}
    busy = {day: list(of_day) for day, of_day in groupby(found["machines"], itemgetter("day"))}
    kept, days = int(found["kept_bytes"]), []
    for number in range((until - since).days + 1):
        day = (since + timedelta(days=number)).isoformat()
        row = rows.get(day, {"day": day})
        kept += row.get("stored_bytes", 0) - row.pop("removed_bytes", 0)
        machines = _priced(busy.get(day, []), parts.prices)
        days.append(
            msgspec.convert(
                row | {"machines": machines, "cost": _sum(machines), "storage_bytes": kept}, CostDay
            )
        )
    together = _priced(_together(found["machines"]), parts.prices)
    total = UsageSums(machines=together, cost=_sum(together), storage_bytes=kept)
    for name in ("submitted", "succeeded", "failed", "cancelled", "run_seconds", "stored_bytes"):
        setattr(total, name, sum(getattr(day, name) for day in days))
    total.run_seconds = round(total.run_seconds, 3)
    return CostAnswer(days, total)


def day_range(first: date | None, last: date | None, parts: Parts) -> tuple[date, date]:
    """Raises Invalid."""
    until = last or parts.now().astimezone(UTC).date()
    try:
        since = first or until - USUAL
    except OverflowError as error:
        raise Invalid("There is no such time.", FieldError("to", "It is too early.")) from error
    if not 0 <= (until - since).days < MAX_DAYS:
        raise Invalid(
            "The time is out of range.",
            FieldError("from", f"It must be up to {MAX_DAYS} days before the last one."),
        )
    return since, until


def _together(machines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of all days."""
    found: dict[str, dict[str, Any]] = {}
    for each in machines:
        known = found.setdefault(each["backend"], each | {"run_seconds": 0.0})
        known["run_seconds"] += each["run_seconds"]
    return list(found.values())


def _priced(machines: list[dict[str, Any]], prices: Prices) -> list[MachineUsage]:
    return [
        MachineUsage(
            each["backend"],
            round(each["run_seconds"], 3),
            round(each["run_seconds"] * prices.of(each["backend"], each["pool"]), 6),
        )
        for each in machines
    ]


def _sum(machines: list[MachineUsage]) -> float:
    return round(sum(each.cost for each in machines), 6)


ROUTER = Router("/", route_handlers=[mine, my_costs], tags=["runs"])
ADMIN = Router("/", route_handlers=[all_costs, by_account], tags=["admin"])
