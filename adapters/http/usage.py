"""What an account has used of the machines."""

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from adapters.http.answers import UsagePage, answers
from adapters.http.callers import Caller
from adapters.http.reads import Reader
from projections import usage


@get("/usage", responses=answers(200, UsagePage, 401, 422))
async def mine(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 31,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your runs and their seconds, day by day (UTC), the newest first; days without runs are left out."""
    return await reader.page(usage.own_days, caller.account, limit=limit, cursor=cursor)


ROUTER = Router("/", route_handlers=[mine], tags=["runs"])
