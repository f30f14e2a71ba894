"""http_vs_empty: runs submitted over HTTP, beside a handler of the same server that does nothing.

One API process of the product, with PostgreSQL and NATS but without the other programs, takes
`POST /api/v1/workflows/{id}/runs`; `bench.empty` takes the same requests in a process of its own. The same
generator in a process of its own sends to either over 64 kept connections, in turns; the figure is the median
of the rounds' ratios. With an Idempotency-Key, which costs one more question to Postgres, the same is measured
for the detail.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from bench import people
from bench.figures import ratio, spread
from bench.load import Load, load, post
from bench.row import Figure, Ground
from bench.servers import ROOT, answers, environment, running, whole
from infra.embedded.child import Child
from infra.embedded.ports import free_port

CONNECTIONS = 64
ROUNDS = 5
SECONDS = 3.0


def measure(ground: Ground) -> Mapping[str, Figure]:
    port = free_port()
    with whole(ground.folder, "api") as ours, running(_empty(port, ground.folder)):
        ann = people.join(ours.url)
        (workflow,) = people.keep(ann, [people.square(1)])
        path = f"/api/v1/workflows/{workflow}/runs"

        def push(base: str, *, key: bool = False) -> Load:
            url = base + path
            request = post(url, ann.token, b'{"priority":5}', key=key)
            seconds = ground.seconds(SECONDS)
            found = load(url, request, connections=CONNECTIONS, seconds=seconds, unique_key=key)
            if found.refused:
                raise RuntimeError(f"{found.refused} of {found.answers} requests to {base} were refused.")
            return found

        empty_url = f"http://127.0.0.1:{port}"
        push(ours.url), push(empty_url)  # warm
        rounds = [(push(ours.url), push(empty_url)) for _ in range(ground.rounds(ROUNDS))]
        keyed = push(ours.url, key=True)
    our, empty = [each.rate for each, _ in rounds], [each.rate for _, each in rounds]
    detail = (
        f"requests/s: ours {spread(our)}, p99 {spread([each.p99_ms for each, _ in rounds])} ms, "
        f"empty {spread(empty)}; ours with Idempotency-Key {keyed.rate:,.0f}"
    )
    return {"http_vs_empty": Figure(ratio(our, empty), detail)}


def _empty(port: int, folder: Path) -> Child:
    return Child(
        name="empty",
        argv=(sys.executable, "-m", "bench.empty", "--port", str(port), "--folder", str(folder)),
        cwd=ROOT,
        log=folder / "log" / "empty.log",
        environment=environment(),
        is_ready=lambda _: answers(port),
    )
