"""Somebody with an HTTP client, logged in or not."""

import io
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image

from tests.http.whole import Whole

PASSWORD = "correct horse battery"
GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "blue"}},
}

FORM: dict[str, Any] = {
    "name": "A square",
    "description": "Of a colour.",
    "category": "test",
    "model_family": "plain",
    "parameters": [
        {
            "name": "color",
            "type": "int",
            "default": 255,
            "min": 0,
            "max": 16_777_215,
            "binds": [{"node": "1", "input": "color"}],
        }
    ],
}
"""Of that graph."""

PARAMETERS: dict[str, Any] = {"checkpoint": "sandbox.safetensors", "prompt": "a fox in the snow"}


def png(width: int = 48, height: int = 32, color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (width, height), color).save(body, "PNG")
    return body.getvalue()


class Person:
    """Asks below /api/v1, of views that have caught up with all that is in the log by then, whoever wrote it."""

    def __init__(self, http: httpx.AsyncClient, head: Callable[[], int]) -> None:
        self.http = http
        self.head = head
        self.name = f"p-{uuid4().hex[:12]}"
        self.id = ""
        self.refresh_token = ""
        self.seen = 0

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Whatever the answer is; a 500 never is one."""
        headers = {"Consistent-With": str(self.head())} | request.pop("headers", {})
        answer = await self.http.request(method, f"/api/v1{path}", headers=headers, **request)
        assert answer.status_code != 500, f"{method} {path}: {answer.text}"
        if (
            answer.is_success
            and answer.content
            and answer.headers.get("content-type", "").startswith("application/json")
        ):
            content = answer.json()
            if method != "GET" and isinstance(content, dict):
                self.seen = max(self.seen, content.get("position", 0))
        return answer

    async def get(self, path: str, **request: Any) -> Any:
        return _granted(await self.ask("GET", path, **request)).json()

    async def post(self, path: str, json: Any = None, **request: Any) -> Any:
        body = {} if json is None else {"json": json}
        return _granted(await self.ask("POST", path, **body, **request)).json()

    async def register(self) -> "Person":
        asked = {"username": self.name, "email": self.email, "password": PASSWORD}
        self.id = (await self.post("/auth/register", asked))["id"]
        return self

    async def log_in(self) -> "Person":
        tokens = await self.post("/auth/login", {"login": self.name, "password": PASSWORD})
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        self.refresh_token = tokens["refresh_token"]
        return self

    async def upload(self, body: bytes, name: str = "photo.png") -> Any:
        files = {"image": (name, body, "application/octet-stream")}
        return _granted(await self.ask("POST", "/inputs", files=files)).json()

    async def workflow(self, name: str = "A blue square", **more: Any) -> str:
        return str((await self.post("/workflows", {"name": name, "graph": GRAPH} | more))["id"])

    async def template(self, workflow: str, **more: Any) -> str:
        return str((await self.post("/templates", {"workflow": workflow, "form": FORM} | more))["id"])

    async def run(self, workflow: str, **more: Any) -> str:
        return str((await self.post(f"/workflows/{workflow}/runs", more))["id"])


def _granted(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer


@asynccontextmanager
async def somebody(at: Whole) -> AsyncIterator[Person]:
    """Not registered."""
    async with client(at.url) as http:
        yield Person(http, at.head)


def client(url: str = "") -> httpx.AsyncClient:
    """Reading the system's certificates would cost more than most tests do."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(base_url=url, timeout=30, verify=plain, trust_env=False)


@asynccontextmanager
async def joined(at: Whole) -> AsyncIterator[Person]:
    async with somebody(at) as person:
        await person.register()
        yield await person.log_in()
