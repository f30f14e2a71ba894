"""A serverless endpoint of RunPod with worker-comfyui on it, as a backend like any other.

RunPod names jobs itself, so the name is kept in the executor's spool. Whoever dies before that cannot find the job
again: then the attempt is lost and another one is made, and what the job still draws is looked at by nobody.
"""

import asyncio
import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import ValidationError, convert, json

from adapters.cloud.runpod_client import MAX_REQUEST, BusyError, Client, Job, Output, Picture
from domain.ids import AttemptId
from domain.outcome import Failure, FailureKind
from services.ports.backend import (
    Advanced,
    BackendFile,
    BackendSight,
    BackendUnavailableError,
    Broken,
    Ending,
    Finished,
    GraphRefusedError,
    Interrupted,
    OutputMissingError,
    Place,
    Signal,
    StockTaken,
    Unsettled,
)

REMEMBERED = 1_000  # jobs that are over may still have to be stopped, or their files be fetched
PICTURES = 64  # that graphs load; they travel with the graph
STREAM_S = 2.0
TOO_LARGE = Failure(
    FailureKind.VALIDATION,
    "The graph and its pictures are larger than this backend takes.",
    advice="Use smaller pictures: all together may have about 7 MB.",
)
TIMED_OUT = Failure(
    FailureKind.TIMEOUT,
    "The run took longer than the endpoint allows.",
    advice="Raise the endpoint's execution timeout, or use a smaller picture or fewer steps.",
)
NO_WORDS = "The worker could not run the graph."


class RunPodBackend:
    """Implements BackendLink."""

    def __init__(self, name: str, client: Client) -> None:
        self._name = name
        self._client = client
        self._jobs: OrderedDict[AttemptId, str] = OrderedDict()
        self._graphs: dict[AttemptId, dict[str, Any]] = {}
        self._places: dict[AttemptId, Place] = {}
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._latest: tuple[str, Job] | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def line(self) -> str:
        return ""

    def resume(self, line: str) -> None:
        """Nobody calls us: what is told is asked for."""

    async def listen(self, hear: Callable[[Signal], None]) -> None:
        """What workers stream: worker-comfyui tells nothing, others tell `percent`, or `value` of `max`."""
        while True:
            await asyncio.sleep(STREAM_S)
            for attempt in [each for each, place in self._places.items() if place is Place.RUNNING]:
                try:
                    told = await self._client.stream(self._jobs[attempt])
                except (BackendUnavailableError, KeyError):
                    continue
                if told is None or told.status not in ("IN_QUEUE", "IN_PROGRESS"):
                    hear(Unsettled())
                for each in () if told is None else told.stream:
                    if (advance := _advance(attempt, each.get("output"))) is not None:
                        hear(advance)

    async def sight(self) -> BackendSight:
        workers = (await self._client.health()).workers
        return BackendSight(version="RunPod serverless", device=f"{workers.idle + workers.running} workers")

    async def inventory(self) -> StockTaken | None:
        """An endpoint does not tell: who asks for a model that it has not is told by the worker."""
        return None

    async def submit(
        self, attempt: AttemptId, graph: dict[str, Any], extra: dict[str, Any] | None = None
    ) -> str:
        """Workers take nothing but a graph, and tell of no nodes: `extra` goes nowhere."""
        self._graphs[attempt] = graph
        wanted = {"workflow": graph}
        if pictures := self._loaded(graph):
            wanted["images"] = pictures  # type: ignore[assignment]
        body = json.encode({"input": wanted})
        if len(body) > MAX_REQUEST:
            raise GraphRefusedError(TOO_LARGE)
        job = await self._client.run(body)
        self._know(attempt, job)
        return job

    async def upload(self, name: str, body: bytes, media_type: str) -> str:
        self._pictures[name] = body
        self._pictures.move_to_end(name)
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return name

    def follow(self, attempt: AttemptId, graph: dict[str, Any], called: str) -> None:
        self._graphs[attempt] = graph
        if called:
            self._know(attempt, called)

    def forget(self, attempt: AttemptId) -> None:
        self._graphs.pop(attempt, None)
        self._places.pop(attempt, None)

    async def look(self, attempts: Sequence[AttemptId]) -> Sequence[Place | Ending]:
        return [await self._look(attempt) for attempt in attempts]

    async def stop(self, attempt: AttemptId) -> None:
        if (job := self._jobs.get(attempt)) is not None:
            await self._client.cancel(job)

    async def fetch(self, file: BackendFile, limit_bytes: int) -> bytes:
        job, _, index = file.place.partition("/")
        output = _output(await self._over(job))
        if output is None or not index.isdecimal() or int(index) >= len(output.images):
            raise OutputMissingError("RunPod no longer has the results of the run.")
        picture = output.images[int(index)]
        if picture.type == "s3_url":
            return await self._client.file(picture.data, limit_bytes)
        return _decoded(picture, limit_bytes)

    async def _look(self, attempt: AttemptId) -> Place | Ending:
        job_id = self._jobs.get(attempt)
        if job_id is None:
            return Place.NOWHERE
        try:
            job = await self._client.status(job_id)
        except BusyError:
            return self._places.get(attempt, Place.WAITING)  # it is where it was, as far as anybody knows
        if job is None:
            return Place.NOWHERE
        if job.status in ("IN_QUEUE", "IN_PROGRESS"):
            place = Place.WAITING if job.status == "IN_QUEUE" else Place.RUNNING
            if attempt in self._graphs:
                self._places[attempt] = place
            return place
        self._latest = (job_id, job)
        return _ending(job_id, job, self._graphs.get(attempt, {}))

    async def _over(self, job_id: str) -> Job | None:
        """As it was at its end: several files are fetched from one answer."""
        if self._latest is None or self._latest[0] != job_id:
            job = await self._client.status(job_id)
            if job is None:
                return None
            self._latest = (job_id, job)
        return self._latest[1]

    def _know(self, attempt: AttemptId, job: str) -> None:
        self._jobs[attempt] = job
        while len(self._jobs) > REMEMBERED:
            self._jobs.popitem(last=False)

    def _loaded(self, graph: Mapping[str, Any]) -> list[dict[str, str]]:
        named = {
            value
            for node in graph.values()
            if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
            for value in node["inputs"].values()
            if isinstance(value, str) and value in self._pictures
        }
        return [
            {"name": name, "image": base64.b64encode(self._pictures[name]).decode()} for name in sorted(named)
        ]


def _ending(job_id: str, job: Job, graph: Mapping[str, Any]) -> Ending:
    match job.status:
        case "CANCELLED":
            return Interrupted()
        case "TIMED_OUT":
            return Broken(failure=TIMED_OUT)
        case "FAILED":
            return Broken(failure=_failure(job.error if job.error is not None else job.output))
    output = _output(job)
    if output is None:
        return Broken(failure=_failure(None))
    if output.error is not None:
        return Broken(failure=_failure(output.error))
    files = tuple(
        BackendFile(
            node=_node(picture.filename, graph),
            filename=picture.filename,
            subfolder="",
            type="output",
            place=f"{job_id}/{index}",
        )
        for index, picture in enumerate(output.images)
    )
    return Finished(files=files, execution_s=max(0, job.execution_time) / 1000)


def _failure(error: Any) -> Failure:
    """The worker's words hold paths and addresses of its own: only what kind of fault it was is told."""
    text = str(error or "").lower()
    if "out of memory" in text or "outofmemory" in text:
        return Failure(
            FailureKind.OUT_OF_MEMORY,
            "The backend ran out of memory.",
            advice="Use a smaller picture, a smaller batch or a smaller model.",
        )
    if "validation" in text:
        return Failure(
            FailureKind.VALIDATION,
            "The backend does not accept the graph.",
            advice="Look whether it has the nodes and models that the graph names.",
        )
    return Failure(FailureKind.NODE, NO_WORDS, advice="Try the graph in ComfyUI's own editor.")


def _output(job: Job | None) -> Output | None:
    try:
        return None if job is None else convert(job.output, Output)
    except ValidationError:
        return None


def _node(filename: str, graph: Mapping[str, Any]) -> str:
    """The worker does not say which node made a file: the one whose prefix its name begins with."""
    nodes: list[str] = []
    for name, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        prefix = inputs.get("filename_prefix") if isinstance(inputs, dict) else None
        if isinstance(prefix, str):
            if filename.startswith(prefix.rpartition("/")[2] + "_"):
                return name
            nodes.append(name)
    return nodes[0] if nodes else next(iter(graph), "")


def _decoded(picture: Picture, limit_bytes: int) -> bytes:
    if len(picture.data) > limit_bytes * 4 // 3 + 4:
        raise OutputMissingError("The file is larger than allowed.")
    try:
        return base64.b64decode(picture.data.rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise OutputMissingError("RunPod answered what is no file.") from error


def _advance(attempt: AttemptId, told: Any) -> Advanced | None:
    if not isinstance(told, dict):
        return None
    numbers = {
        name: told[name] for name in ("percent", "value", "max") if isinstance(told.get(name), int | float)
    }
    if not numbers:
        return None
    share = 100 * numbers.get("value", 0) / numbers["max"] if numbers.get("max") else 0.0
    node = told.get("node")
    return Advanced(
        attempt=attempt,
        percent=min(100.0, max(0.0, float(numbers.get("percent", share)))),
        node=node if isinstance(node, str) else None,
        value=float(numbers.get("value", 0)),
        max=float(numbers.get("max", 0)),
    )
