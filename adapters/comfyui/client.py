"""ComfyUI's HTTP routes, one function each. What cannot be understood is as good as no answer.

The transport is asked directly: httpx.AsyncClient around it would double the cost of a run.
Source: ComfyUI server.py.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
from msgspec import DecodeError, Struct, json

from adapters.comfyui.translate import refusal
from services.ports.backend import (
    BackendUnavailableError,
    GraphRefusedError,
    OutputMissingError,
    PromptUncertainError,
)
from workflows.protocol.history import HistoryResult, OutputFile, decode_results
from workflows.protocol.prompt import PromptRequest, decode_accepted, decode_refused
from workflows.protocol.queue import Interrupt, QueueChange, QueueIds, decode_queue_ids
from workflows.protocol.server import SystemStats, decode_stats, decode_uploaded

T = TypeVar("T")

_names = json.Decoder(list[str])
_told = json.Decoder(dict[str, Any]).decode

ANSWER_S = 30.0  # while a model is loaded, ComfyUI's event loop may stand still for seconds
HEALTH_S = 10.0
INFO_S = 60.0
FILE_S = 60.0
MAX_ANSWER = 64 << 20  # a full history of ten thousand prompts has a few megabytes
ABSENT = {400, 403, 404}  # how /view says that it does not serve a file


class Address(Struct, frozen=True):
    """Where a ComfyUI is, with the header that opens it, if any. `url` may have a path of its own."""

    url: str
    header: str = ""
    value: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {self.header: self.value} if self.header else {}

    def __repr__(self) -> str:
        return "Address(...)"  # it opens doors


class Answer(Struct, frozen=True):
    status: int
    body: bytes


class Client:
    def __init__(self, address: Address, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        url = httpx.URL(address.url)
        self._base = url.copy_with(raw_path=b"/")
        self._path = url.raw_path.rstrip(b"/")
        self._headers = [(b"host", url.netloc), (b"accept-encoding", b"identity")]
        self._headers += [(name.encode(), value.encode()) for name, value in address.headers.items()]

    async def submit(self, request: PromptRequest) -> None:
        """POST /prompt. Raises BackendUnavailableError (not sent), PromptUncertainError, GraphRefusedError."""
        try:
            answer = await self._ask("POST", "/prompt", json.encode(request))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise BackendUnavailableError("The backend cannot be reached.") from error
        except httpx.TransportError as error:
            raise PromptUncertainError("The backend did not answer.") from error
        try:
            if answer.status == 200:
                accepted = decode_accepted(answer.body)
                if accepted.prompt_id != request.prompt_id:
                    raise PromptUncertainError("The backend answered for another prompt.")
                if accepted.node_errors:
                    raise GraphRefusedError(refusal(None, accepted.node_errors), queued=True)
                return
            if answer.status == 400:
                refused = decode_refused(answer.body)
                raise GraphRefusedError(refusal(refused.error, refused.node_errors))
        except (DecodeError, RecursionError) as error:
            raise PromptUncertainError("The backend answered what makes no sense.") from error
        raise PromptUncertainError(f"The backend answered {answer.status}.")

    async def queue(self) -> QueueIds:
        """GET /queue, without the graphs."""
        return await self._get("/queue", decode_queue_ids)

    async def history(self, prompt_id: str) -> HistoryResult | None:
        """GET /history/{id}. None: unknown, waiting or running."""
        results = await self._get(f"/history/{quote(prompt_id, safe='')}", decode_results)
        return results.get(prompt_id)

    async def stats(self) -> SystemStats:
        """GET /system_stats."""
        return await self._get("/system_stats", decode_stats, HEALTH_S)

    async def object_info(self) -> dict[str, Any]:
        """GET /object_info: every class, as it is told. Takes long where there are many."""
        return await self._get("/object_info", _told, INFO_S)

    async def extensions(self) -> list[str]:
        """GET /extensions: the addresses of scripts. Empty where it is not known."""
        try:
            return await self._get("/extensions", _names.decode)
        except BackendUnavailableError:
            return []

    async def web_file(self, address: str, limit_bytes: int) -> bytes | None:
        """A file for browsers. None: it is not there, or too large. Raises BackendUnavailableError."""
        try:
            answer = await self._ask("GET", address, limit_bytes=limit_bytes, wait_s=FILE_S)
        except httpx.TransportError as error:
            raise _away(error) from error
        except OutputMissingError:
            return None
        return answer.body if answer.status == 200 else None

    async def model_folders(self) -> list[str]:
        """GET /models."""
        return await self._get("/models", _names.decode)

    async def models(self, folder: str) -> list[str]:
        """GET /models/{folder}. Empty where the backend cannot list it."""
        try:
            return await self._get(f"/models/{quote(folder, safe='')}", _names.decode)
        except BackendUnavailableError:
            if folder in await self.model_folders():
                return []  # a root that has vanished is a 500 of its own
            raise

    async def metadata(self, folder: str, name: str) -> dict[str, str]:
        """GET /view_metadata/{folder}: what a model file says of itself; empty where that is nothing."""
        query = urlencode({"filename": name})
        try:
            answer = await self._ask("GET", f"/view_metadata/{quote(folder, safe='')}?{query}")
        except httpx.TransportError as error:
            raise _away(error) from error
        except OutputMissingError:
            return {}
        if answer.status != 200:
            return {}  # no safetensors file, no metadata, a broken file: each of them another status
        try:
            told = json.decode(answer.body, type=dict[str, Any])
        except (DecodeError, RecursionError):
            return {}
        return {key: value for key, value in told.items() if isinstance(value, str)}

    async def delete(self, prompt_id: str) -> None:
        """POST /queue: take a waiting prompt out. Says nothing if it is not waiting."""
        await self._post("/queue", json.encode(QueueChange(delete=(prompt_id,))))

    async def interrupt(self, prompt_id: str) -> None:
        """POST /interrupt, for this prompt only. Says nothing if it is not running."""
        await self._post("/interrupt", json.encode(Interrupt(prompt_id)))

    async def view(self, file: OutputFile, limit_bytes: int) -> bytes:
        """GET /view: the bytes of a file. Raises OutputMissingError."""
        query = urlencode({"filename": file.filename, "subfolder": file.subfolder, "type": file.type})
        try:
            answer = await self._ask("GET", "/view?" + query, limit_bytes=limit_bytes, wait_s=FILE_S)
        except httpx.TransportError as error:
            raise _away(error) from error
        if answer.status == 200:
            return answer.body
        if answer.status in ABSENT:
            raise OutputMissingError("The backend no longer has the file.")
        raise BackendUnavailableError(f"The backend answered {answer.status}.")

    async def upload(self, name: str, body: bytes, media_type: str) -> str:
        """POST /upload/image. Returns the name as loaders take it. Source: server.py, image_upload."""
        boundary = f"comfyplus-{sha256(body).hexdigest()[:48]}"  # aiohttp takes 70 characters at most
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        )
        if media_type.startswith("model/"):  # Load3D offers what is in this folder, and nothing else
            folder = 'Content-Disposition: form-data; name="subfolder"\r\n\r\n3d'
            head = f"--{boundary}\r\n{folder}\r\n{head}"
        form = b"".join((head.encode("ascii"), body, f"\r\n--{boundary}--\r\n".encode()))
        kind = (b"content-type", f"multipart/form-data; boundary={boundary}".encode())
        try:
            answer = await self._ask("POST", "/upload/image", form, wait_s=FILE_S, more=(kind,))
            if answer.status != 200:
                raise BackendUnavailableError(f"The backend answered {answer.status}.")
            uploaded = decode_uploaded(answer.body)
        except httpx.TransportError as error:
            raise BackendUnavailableError("The backend cannot be reached.") from error
        except DecodeError as error:
            raise BackendUnavailableError("The backend answered what makes no sense.") from error
        return f"{uploaded.subfolder}/{uploaded.name}" if uploaded.subfolder else uploaded.name

    async def _get(self, target: str, decode: Callable[[bytes], T], wait_s: float = ANSWER_S) -> T:
        try:
            answer = await self._ask("GET", target, wait_s=wait_s)
            if answer.status in (401, 403):
                raise BackendUnavailableError("The backend does not accept the credentials.")
            if answer.status != 200:
                raise BackendUnavailableError(f"The backend answered {answer.status}.")
            return decode(answer.body)
        except OutputMissingError as error:
            raise BackendUnavailableError("The backend's answer is too large.") from error
        except httpx.TransportError as error:
            raise _away(error) from error
        except (DecodeError, RecursionError) as error:
            raise BackendUnavailableError("The backend answered what makes no sense.") from error

    async def _post(self, target: str, body: bytes) -> None:
        try:
            answer = await self._ask("POST", target, body)
        except httpx.TransportError as error:
            raise _away(error) from error
        if answer.status != 200:
            raise BackendUnavailableError(f"The backend answered {answer.status}.")

    async def _ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        limit_bytes: int = MAX_ANSWER,
        wait_s: float = ANSWER_S,
        more: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Answer:
        request = httpx.Request(
            method,
            self._base,
            headers=[*self._headers, *more, (b"content-length", b"%d" % len(body))],
            stream=httpx.ByteStream(body),  # `content` would have httpx look for headers that it could add
            extensions={
                "target": self._path
                + target.encode("ascii"),  # a URL for each request would cost as much again
                "timeout": {"connect": 10.0, "read": wait_s, "write": wait_s, "pool": wait_s},
            },
        )
        response = await self._transport.handle_async_request(request)
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
        return Answer(response.status_code, b"".join(chunks))


def _away(error: httpx.TransportError) -> BackendUnavailableError:
    """Why, where it was we who would not go there: what the system says of addresses is nobody's business."""
    refused = isinstance(error, httpx.ConnectError) and error.__cause__ is None and error.args
    return BackendUnavailableError(str(error) if refused else "The backend cannot be reached.")
