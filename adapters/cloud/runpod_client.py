"""RunPod's serverless operations, one function each. Source: docs.runpod.io, serverless/endpoints.

`/run` takes 10 MB at most; what a job came to is kept for 30 minutes after its end.
"""

import asyncio
from typing import Any, Literal

import httpx
from msgspec import DecodeError, Struct, field, json

from services.ports.backend import BackendUnavailableError, OutputMissingError, PromptUncertainError

MAX_REQUEST = 10 * 1000 * 1000
MAX_ANSWER = 64 << 20  # pictures come as base64 inside it
ANSWER_S = 60.0
FILE_S = 120.0
REST_S = 1.0
LONGEST_REST_S = 10.0

State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]


class Endpoint(Struct, frozen=True, kw_only=True):
    """`url`: with the endpoint's id, such as https://api.runpod.ai/v2/abc123."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"  # the key must not reach a log


class BusyError(BackendUnavailableError):
    """429: asked too often. It is rested already when this is raised."""


class Accepted(Struct, frozen=True):
    id: str


class Picture(Struct, frozen=True):
    """As worker-comfyui gives it: `data` is base64, or with type `s3_url` an address."""

    filename: str = "output.png"
    type: str = "base64"
    data: str = ""


class Output(Struct, frozen=True):
    images: tuple[Picture, ...] = ()
    error: str | None = None


class Job(Struct, frozen=True, rename="camel"):
    """`output`: an Output where the worker is worker-comfyui. Times are in milliseconds."""

    status: State
    output: Any = None
    error: Any = None
    execution_time: int = 0


class Streamed(Struct, frozen=True):
    status: State
    stream: tuple[dict[str, Any], ...] = ()


class Workers(Struct, frozen=True):
    idle: int = 0
    ready: int = 0
    running: int = 0
    initializing: int = 0
    throttled: int = 0


class Condition(Struct, frozen=True):
    workers: Workers = field(default_factory=Workers)


class Client:
    """`files`: the transport for addresses that workers give; it must not lead into private networks."""

    def __init__(
        self, endpoint: Endpoint, transport: httpx.AsyncBaseTransport, files: httpx.AsyncBaseTransport
    ) -> None:
        self._url = endpoint.url.rstrip("/")
        self._headers = {"authorization": f"Bearer {endpoint.key}", "accept-encoding": "identity"}
        self._transport = transport
        self._files = files

    async def run(self, body: bytes) -> str:
        """POST /run. Returns the job's id. Raises BackendUnavailableError: not sent; PromptUncertainError."""
        try:
            status, answer = await self._ask("POST", "/run", body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise BackendUnavailableError("RunPod cannot be reached.") from error
        except (httpx.TransportError, OutputMissingError) as error:
            raise PromptUncertainError("RunPod did not answer.") from error
        if status == 200:
            try:
                return json.decode(answer, type=Accepted).id
            except DecodeError as error:
                raise PromptUncertainError("RunPod answered what makes no sense.") from error
        if 400 <= status < 500:
            raise BackendUnavailableError(f"RunPod answered {status}.")
        raise PromptUncertainError(f"RunPod answered {status}.")

    async def status(self, job: str) -> Job | None:
        """GET /status/{id}. None: unknown, or its time is over."""
        answer = await self._get(f"/status/{job}")
        return None if answer is None else _decoded(answer, Job)

    async def stream(self, job: str) -> Streamed | None:
        """GET /stream/{id}: what the worker has told since it was asked last."""
        answer = await self._get(f"/stream/{job}")
        return None if answer is None else _decoded(answer, Streamed)

    async def cancel(self, job: str) -> None:
        """POST /cancel/{id}. Says nothing if there is nothing to cancel."""
        await self._get(f"/cancel/{job}", "POST")

    async def health(self) -> Condition:
        """GET /health."""
        answer = await self._get("/health")
        return Condition() if answer is None else _decoded(answer, Condition)

    async def file(self, url: str, limit_bytes: int) -> bytes:
        """What lies at an address that a worker has given. Raises OutputMissingError."""
        try:
            request = httpx.Request("GET", url, headers={"accept-encoding": "identity"})
            request.extensions = {"timeout": {"connect": 10.0, "read": FILE_S}}
            status, body, _ = await _read(self._files, request, limit_bytes)
        except (httpx.InvalidURL, ValueError) as error:
            raise OutputMissingError("The worker gave no address.") from error
        except httpx.TransportError as error:
            raise BackendUnavailableError("The worker's store cannot be reached.") from error
        if status == 200:
            return body
        if 400 <= status < 500:
            raise OutputMissingError("The worker's store no longer has the file.")
        raise BackendUnavailableError(f"The worker's store answered {status}.")

    async def _get(self, path: str, method: str = "GET") -> bytes | None:
        """None: there is no such job."""
        try:
            status, answer = await self._ask(method, path, b"" if method == "POST" else None)
        except (httpx.TransportError, OutputMissingError) as error:
            raise BackendUnavailableError("RunPod cannot be reached.") from error
        if status == 200:
            return answer
        if status == 404:
            return None
        raise BackendUnavailableError(f"RunPod answered {status}.")

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        request = httpx.Request(method, self._url + path, headers=self._headers, content=body)
        request.headers["content-type"] = "application/json"
        request.extensions = {"timeout": {"connect": 10.0, "read": ANSWER_S}}
        status, answer, after = await _read(self._transport, request, MAX_ANSWER)
        if status == 429:
            await asyncio.sleep(min(float(after), LONGEST_REST_S) if after.isdecimal() else REST_S)
            raise BusyError("RunPod is asked too often.")
        return status, answer


def _decoded(answer: bytes, kind: Any) -> Any:
    try:
        return json.decode(answer, type=kind)
    except (DecodeError, RecursionError) as error:
        raise BackendUnavailableError("RunPod answered what makes no sense.") from error


async def _read(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, limit_bytes: int
) -> tuple[int, bytes, str]:
    """Status, body and `Retry-After`. Raises OutputMissingError when it is too large."""
    response = await transport.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks, size = [], 0
    try:
        async for chunk in response.stream:
            size += len(chunk)
            if size > limit_bytes:
                raise OutputMissingError("The file is larger than allowed.")
            chunks.append(chunk)
    finally:
        await response.stream.aclose()
    return response.status_code, b"".join(chunks), response.headers.get("retry-after", "")
