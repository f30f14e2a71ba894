"""What there is, what happens and what is under way, in figures, for administrators."""

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from adapters.http.answers import answers
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.usage import FirstDay, LastDay, day_range
from projections import statistics


class Count(Struct):
    """`total`: at the end of the last day. `added`, `removed`: within the days."""

    total: int = 0
    added: int = 0
    removed: int = 0


class ActiveDay(Struct):
    """How many accounts have logged in, run, saved, said or liked something on a day."""

    day: str
    accounts: int


class RunDay(Struct):
    """What became of runs of a pool on a day."""

    day: str
    pool: str
    submitted: int
    succeeded: int
    failed: int
    cancelled: int
    run_seconds: float


class StorageAnswer(Struct):
    """Bytes kept for accounts, by what they are. What is the same for several counts for each."""

    outputs: int
    inputs: int
    loras: int


class QueueFigures(Struct):
    """Now."""

    paused: bool
    active: int
    waiting: int


class BackendFigures(Struct):
    """Now."""

    known: int
    live: int


class StatisticsAnswer(Struct, kw_only=True):
    first: str
    last: str
    accounts: Count
    active_accounts: int
    workflows: Count
    versions: Count
    published_workflows: Count
    published_outputs: Count
    comments: Count
    likes: Count
    follows: Count
    reports: Count
    inputs: Count
    loras: Count
    storage: StorageAnswer
    active_days: list[ActiveDay]
    runs: list[RunDay]
    queue: QueueFigures
    backends: BackendFigures


class Found(Struct):
    """As the read model tells it."""

    totals: dict[str, Count]
    active: int
    active_days: list[ActiveDay]
    runs: list[RunDay]
    output_bytes: int
    backends: int
    live_backends: int


COUNTS = (
    *("accounts", "workflows", "versions", "published_workflows", "published_outputs", "comments", "likes"),
    *("follows", "reports", "inputs", "loras"),
)
_decode = msgspec.json.Decoder(Found).decode


@get("/admin/statistics", responses=answers(200, StatisticsAnswer, 401, 403, 422))
async def figures(
    parts: NamedDependency[Parts],
    overseer: NamedDependency[Reader],
    first: FirstDay = None,
    last: LastDay = None,
) -> StatisticsAnswer:
    """What there is, and what came, went and ran in some days; the queue and the backends as they are now."""
    since, until = day_range(first, last, parts)
    await overseer.caught_up("usage", "run_status")
    found = _decode(await overseer.ask(statistics.between, since.isoformat(), until.isoformat()))
    queue, nothing = await parts.queue.stats(), Count()
    inputs, loras = (found.totals.get(f"{name}_bytes", nothing).total for name in ("input", "lora"))
    return StatisticsAnswer(
        first=since.isoformat(),
        last=until.isoformat(),
        active_accounts=found.active,
        storage=StorageAnswer(found.output_bytes, inputs, loras),
        active_days=found.active_days,
        runs=found.runs,
        queue=QueueFigures(
            queue.paused, sum(each.active for each in queue.pools), sum(each.waiting for each in queue.pools)
        ),
        backends=BackendFigures(found.backends, found.live_backends),
        **{name: found.totals.get(name, nothing) for name in COUNTS},
    )


ROUTER = Router("/", route_handlers=[figures], tags=["admin"])
