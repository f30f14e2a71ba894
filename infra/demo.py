"""`comfyplus demo`: the whole way in the terminal, on the real parts, from nothing to a picture with a history."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from infra.embedded.child import ChildFailedError
from infra.embedded.lock import FolderTakenError
from infra.replay import replay_with_bar
from infra.settings import Settings, SettingsError
from infra.up import Launched, launched
from projections.catalogue import PROJECTIONS

PATIENCE_S = 120.0
GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 768, "height": 512, "batch_size": 1, "color": 0x2E5AAC},
    },
    "2": {
        "class_type": "EmptyImage",
        "inputs": {"width": 768, "height": 512, "batch_size": 1, "color": 0xF2A65A},
    },
    "3": {
        "class_type": "ImageBlend",
        "inputs": {"image1": ["1", 0], "image2": ["2", 0], "blend_factor": 0.35, "blend_mode": "screen"},
    },
    "4": {
        "class_type": "ImageScale",
        "inputs": {
            "image": ["3", 0],
            "upscale_method": "lanczos",
            "width": 1024,
            "height": 640,
            "crop": "center",
        },
    },
    "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "demo"}},
}


class DemoFailedError(Exception):
    """The story did not go as told; the message says what went otherwise."""


def demo(settings: Settings) -> int:
    """Returns the exit code: 0 when everything held, 1 with a plain reason when something did not."""
    console = Console()
    try:
        with launched(settings, lambda line: console.print(f"  [dim]{line}[/]")) as whole:
            asyncio.run(_tell(whole, console))
    except (DemoFailedError, ChildFailedError, FolderTakenError, SettingsError, httpx.HTTPError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        return 1
    console.print("\n[green]Everything held.[/] `make up` keeps it running; the README says what to do next.")
    return 0


async def _tell(whole: Launched, console: Console) -> None:
    async with httpx.AsyncClient(base_url=whole.url, timeout=30) as http:
        _chapter(console, "1. Everything is running")
        engine = whole.settings.comfyui_url or "the sandbox, a small ComfyUI without models"
        console.print(f"  API {whole.url}, PostgreSQL, NATS; the ComfyUI is {engine}.")
        _chapter(console, "2. Somebody joins")
        username = await _join(http)
        console.print(f"  [bold]{username}[/] has registered and logged in.")
        _chapter(console, "3. A workflow is stored, as version 1")
        name = {"name": "Dusk", "description": "Two colours, blended and scaled.", "tags": ["demo"]}
        workflow = await _ask(http, "POST", "/workflows", json={**name, "graph": GRAPH, "public": True})
        console.print(f"  workflow {workflow['id']} at position {workflow['position']}")
        _chapter(console, "4. It runs")
        accepted = await _ask(http, "POST", f"/workflows/{workflow['id']}/runs", json={})
        console.print(f"  run {accepted['id']} is queued at position {accepted['position']}")
        last = await _watch(http, accepted, console)
        run = await _ask(http, "GET", f"/runs/{accepted['id']}", after=last)
        await _show_outputs(http, run, whole, console)
        _chapter(console, "5. What happened, in the log's own words")
        await _show_history(http, run["id"], last, console)
        _chapter(console, "6. The proof: every read model, built anew from the log, gives the same answers")
        await _prove(http, whole, workflow["id"], run["id"], last, console)


async def _join(http: httpx.AsyncClient) -> str:
    username, password = f"ann-{secrets.token_hex(3)}", secrets.token_urlsafe(12)
    await _ask(
        http,
        "POST",
        "/auth/register",
        json={"username": username, "email": f"{username}@example.org", "password": password},
    )
    tokens = await _ask(http, "POST", "/auth/login", json={"login": username, "password": password})
    http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return username


async def _watch(http: httpx.AsyncClient, accepted: dict[str, Any], console: Console) -> int:
    """Follow the run with a bar; returns the position of its last event."""
    last, status = 0, "queued"
    with Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
    ) as bars:
        task = bars.add_task("queued", total=100)
        async for kind, content in _events(http, accepted["live_url"]):
            if kind == "progress":
                node = content["node_class"] or content["node"] or ""
                bars.update(task, completed=content["percent"], description=f"running {node}")
            elif kind == "state":
                last, status = content["position"], content["status"]
                bars.update(task, description=status)
        if status == "succeeded":
            bars.update(task, completed=100)
    if status != "succeeded":
        run = await _ask(http, "GET", f"/runs/{accepted['id']}", after=last)
        reason = (run.get("failure") or {}).get("reason", "no reason was given")
        raise DemoFailedError(f"the run has {status}: {reason}")
    return last


async def _events(http: httpx.AsyncClient, url: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The server-sent events of a run, until it is over."""
    async with asyncio.timeout(PATIENCE_S), http.stream("GET", url, timeout=PATIENCE_S) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))


async def _show_outputs(
    http: httpx.AsyncClient, run: dict[str, Any], whole: Launched, console: Console
) -> None:
    if not run["outputs"]:
        raise DemoFailedError("the run has succeeded without a picture.")
    for output in run["outputs"]:
        picture = (await http.get(output["url"])).raise_for_status().content
        path = whole.settings.data / "pictures" / output["name"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)
        console.print(f"  [bold]{path}[/] {output['width']} x {output['height']}, {len(picture):,} bytes")
        thumbnails = ", ".join(f"{made['width']} x {made['height']}" for made in output["thumbnails"])
        console.print(f"  thumbnails {thumbnails}")


async def _show_history(http: httpx.AsyncClient, run: str, last: int, console: Console) -> None:
    history = await _ask(http, "GET", f"/runs/{run}/history", after=last)
    table = Table(box=None, padding=(0, 2))
    for heading in ("position", "at", "what", "by"):
        table.add_column(heading, style="dim" if heading == "at" else "")
    for entry in history["items"]:
        table.add_row(str(entry["position"]), entry["at"][11:23], entry["topic"], entry["actor"])
    console.print(table)


async def _prove(
    http: httpx.AsyncClient, whole: Launched, workflow: str, run: str, last: int, console: Console
) -> None:
    questions = ("/workflows", f"/workflows/{workflow}", "/gallery", f"/runs/{run}", f"/runs/{run}/history")
    before = [await _ask(http, "GET", question, after=last) for question in questions]
    for name in PROJECTIONS:
        await replay_with_bar(whole.settings, name, console)
    after = [await _ask(http, "GET", question, after=last) for question in questions]
    for question, was, is_now in zip(questions, before, after, strict=True):
        if was != is_now:
            raise DemoFailedError(f"GET {question} answers otherwise after the rebuild.")
        console.print(f"  [green]same[/]  GET {question}")


async def _ask(http: httpx.AsyncClient, method: str, path: str, *, after: int = 0, **request: Any) -> Any:
    """Raises DemoFailedError with the problem's own words."""
    headers = {"Consistent-With": str(after)} if after else {}
    answer = await http.request(method, f"/api/v1{path}", headers=headers, **request)
    if answer.is_error:
        raise DemoFailedError(f"{method} {path} answers {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _chapter(console: Console, title: str) -> None:
    console.print(f"\n[bold cyan]{title}[/]")
