"""overhead_zero_vs_wrapper, cpu_ms_per_run: what durability costs when the engine itself costs nothing.

The engine is one sandbox process, its nodes take no time: an EmptyImage of 64 pixels and a SaveImage, different from
job to job, so that nothing comes out of its cache. On one side the whole product (`comfyplus up`, all
processes, PostgreSQL and NATS) drives it, on the other `bench.wrapper`. The same client keeps 32 jobs under way at
either, in turns; a job is over when its client has been told so: the wrapper answers with the picture, the
product's run is followed over server-sent events until it has succeeded, its picture and thumbnails stored. The
ratio is the median of the rounds'. Once more the client also asks for the run and fetches the picture, for the detail.

The processor time is that of our processes (api, relay, project, dispatch, execute) in the product's rounds, by
what the kernel accounts to them, divided by the runs.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import msgspec

from bench import people
from bench.cpu import family, used_s
from bench.engine import engine
from bench.figures import ratio, spread
from bench.jobs import Done, Task, work
from bench.row import Figure, Ground
from bench.servers import ROOT, answers, environment, running, whole
from infra.embedded.child import Child
from infra.embedded.ports import free_port

AT_ONCE = 32
WORKFLOWS = 128
ROUNDS = 5
SECONDS = 5.0
OURS = ("api", "relay", "project", "dispatch", "errands", "execute")


def measure(ground: Ground) -> Mapping[str, Figure]:
    port = free_port()
    with (
        engine(ground.folder / "engine") as machine,
        running(_wrapper(port, machine.url, ground.folder)),
        whole(ground.folder / "whole", comfyui_url=machine.url) as ours,
    ):
        ann = people.join(ours.url)
        workflows = people.keep(ann, [people.square(colour * 97) for colour in range(WORKFLOWS)])
        pids = msgspec.json.decode((ours.settings.data / "processes.json").read_bytes(), type=dict[str, int])
        seconds = ground.seconds(SECONDS)
        product = Task(ours.url, AT_ONCE, seconds, ann.token, tuple(workflows))
        wrapper = Task(f"http://127.0.0.1:{port}", AT_ONCE, seconds)
        work(product), work(wrapper)  # warm
        meter = Meter(pids, machine.pid)
        rounds = [(meter.metered(product), work(wrapper)) for _ in range(ground.rounds(ROUNDS))]
        fetched = work(msgspec.structs.replace(product, fetch=True))
    our, their = [each.rate for each, _ in rounds], [each.rate for _, each in rounds]
    detail = (
        f"jobs/s: ours {spread(our)}, wrapper {spread(their)}; p50 of a job in ms: "
        f"ours {spread([each.p50_ms for each, _ in rounds])}, "
        f"wrapper {spread([each.p50_ms for _, each in rounds])}; "
        f"ours with the picture fetched by the client {fetched.rate:,.0f} jobs/s"
    )
    return {
        "overhead_zero_vs_wrapper": Figure(ratio(our, their), detail),
        "cpu_ms_per_run": meter.figure(),
    }


class Meter:
    """Adds up the processor time of the product's rounds, by process."""

    def __init__(self, pids: Mapping[str, int], engine: int) -> None:
        self._groups = {name: [pids[name]] for name in OURS}
        self._groups |= {"nats": [pids["nats"]], "engine": [engine]}
        self._postgres = pids["postgres"]
        self._rounds: list[dict[str, float]] = []

    def metered(self, task: Task) -> Done:
        groups = self._groups | {"postgres": family(self._postgres)}
        before = {name: used_s(pids) for name, pids in groups.items()}
        done = work(task)
        used = {name: used_s(pids) - before[name] for name, pids in groups.items()}
        self._rounds.append({name: seconds * 1000 / done.jobs for name, seconds in used.items()})
        return done

    def figure(self) -> Figure:
        each = {name: median(used[name] for used in self._rounds) for name in self._rounds[0]}
        whole = [sum(used[name] for name in OURS) for used in self._rounds]
        parts = ", ".join(f"{name} {each[name]:.2f}" for name in OURS)
        beside = ", ".join(f"{name} {each[name]:.2f}" for name in ("postgres", "nats", "engine"))
        return Figure(median(whole), f"{spread(whole)}: {parts}; beside them {beside}")


def _wrapper(port: int, engine: str, folder: Path) -> Child:
    return Child(
        name="wrapper",
        argv=(sys.executable, "-m", "bench.wrapper", "--engine", engine, "--port", str(port)),
        cwd=ROOT,
        log=folder / "wrapper.log",
        environment=environment(),
        is_ready=lambda _: answers(port),
    )
