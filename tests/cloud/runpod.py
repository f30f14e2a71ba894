"""RunPod as an executor sees it, with worker-comfyui on it, which really draws: on a sandbox.

Built after docs.runpod.io (serverless/endpoints) and the worker's handler: one job at a time, results kept for a while.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx

KEY = "rpa_ONLYFORTESTS"
ENDPOINT = "abc123"
MAX_BODY = 10 * 1000 * 1000


class Job:
    def __init__(self, wanted: dict[str, Any]) -> None:
        self.id = f"{uuid4()}-u1"
        self.wanted = wanted
        self.status = "IN_QUEUE"
        self.output: Any = None
        self.error: str | None = None
        self.told: list[dict[str, Any]] = []
        self.prompt = ""


class RunPod:
    """`busy`: so many questions are answered 429. `workers`: 0 leaves jobs in the queue. `lose`: answers to /run."""

    def __init__(self, comfyui: str) -> None:
        self.comfyui = comfyui
        self.url = ""
        self.jobs: dict[str, Job] = {}
        self.asked: Counter[str] = Counter()
        self.busy = 0
        self.lose = 0
        self.workers = asyncio.Event()
        self.workers.set()
        self.bucket = False
        self.files: dict[str, bytes] = {}
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()

    @property
    def endpoint_url(self) -> str:
        return f"{self.url}/v2/{ENDPOINT}"

    def expire(self) -> None:
        """The time of everything that is over has come."""
        self.jobs = {id: job for id, job in self.jobs.items() if job.status in ("IN_QUEUE", "IN_PROGRESS")}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = first.split(" ")
                status, more, answer = await self._answer(method, target, headers, body)
                if status == 0:
                    return
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(answer)}", *more]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[str], bytes]:
        if target.startswith("/bucket/"):
            found = self.files.get(target)
            return (404, [], b"") if found is None else (200, [], found)
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, [], b""
        verb, _, id = target.removeprefix(f"/v2/{ENDPOINT}/").partition("/")
        self.asked[verb] += 1
        if self.busy > 0:
            self.busy -= 1
            return 429, ["Retry-After: 0"], b'{"error": "too many requests"}'
        if verb == "health" and method == "GET":
            return 200, [], json.dumps({"jobs": {}, "workers": {"idle": 1, "running": 0}}).encode()
        if verb == "run" and method == "POST":
            return self._run(body)
        job = self.jobs.get(id)
        if job is None:
            return 404, [], b'{"error": "job not found"}'
        if verb == "cancel" and method == "POST":
            await self._cancel(job)
        elif verb == "stream":
            told, job.told = job.told, []
            return 200, [], json.dumps({"status": job.status, "stream": told}).encode()
        elif verb != "status":
            return 404, [], b""
        shown = {"id": job.id, "status": job.status, "delayTime": 12, "executionTime": 345}
        if job.output is not None:
            shown["output"] = job.output
        if job.error is not None:
            shown["error"] = job.error
        return 200, [], json.dumps(shown).encode()

    def _run(self, body: bytes) -> tuple[int, list[str], bytes]:
        if len(body) > MAX_BODY:
            return 413, [], b""
        job = Job(json.loads(body)["input"])
        self.jobs[job.id] = job
        self._waiting.put_nowait(job)
        if self.lose > 0:
            self.lose -= 1
            return 0, [], b""
        return 200, [], json.dumps({"id": job.id, "status": job.status}).encode()

    async def _cancel(self, job: Job) -> None:
        if job.status in ("IN_QUEUE", "IN_PROGRESS"):
            job.status = "CANCELLED"
            if job.prompt:
                async with httpx.AsyncClient(base_url=self.comfyui, verify=False, trust_env=False) as comfyui:
                    await comfyui.post("/interrupt", json={"prompt_id": job.prompt})

    async def work(self) -> None:
        """One worker, until it is cancelled."""
        async with httpx.AsyncClient(
            base_url=self.comfyui, timeout=30, verify=False, trust_env=False
        ) as comfyui:
            while True:
                job = await self._waiting.get()
                await self.workers.wait()
                if job.status != "IN_QUEUE":
                    continue
                job.status = "IN_PROGRESS"
                output = await self._handle(job, comfyui)
                if job.status != "IN_PROGRESS":
                    continue
                if "error" in output:
                    job.status, job.error = "FAILED", json.dumps(output)
                else:
                    job.status, job.output = "COMPLETED", output

    async def _handle(self, job: Job, comfyui: httpx.AsyncClient) -> dict[str, Any]:
        """As the worker's handler does it."""
        for image in job.wanted.get("images") or ():
            files = {"image": (image["name"], base64.b64decode(image["image"]), "image/png")}
            (await comfyui.post("/upload/image", files=files, data={"overwrite": "true"})).raise_for_status()
        answer = await comfyui.post("/prompt", json={"prompt": job.wanted["workflow"], "client_id": "w"})
        if answer.status_code == 400:
            return {"error": f"Workflow validation failed: {answer.text} in /comfyui/secret.py"}
        job.prompt = answer.json()["prompt_id"]
        while not (history := (await comfyui.get(f"/history/{job.prompt}")).json()):
            job.told.append({"output": {"value": 1, "max": 4, "node": "3"}})
            await asyncio.sleep(0.05)
        entry = history[job.prompt]
        if entry["status"]["status_str"] != "success":
            return {"error": f"Workflow execution error: {entry['status']['messages'][-1]}"}
        images = []
        for node in entry["outputs"].values():
            for each in node.get("images", ()):
                if each["type"] == "temp":
                    continue
                body = (await comfyui.get("/view", params=each)).content
                if self.bucket:
                    path = f"/bucket/{uuid4().hex}.png"
                    self.files[path] = body
                    images.append({"filename": each["filename"], "type": "s3_url", "data": self.url + path})
                else:
                    text = base64.b64encode(body).decode()
                    images.append({"filename": each["filename"], "type": "base64", "data": text})
        return {"images": images} if images else {"status": "success_no_images", "images": []}


@asynccontextmanager
async def runpod(comfyui: str) -> AsyncIterator[RunPod]:
    cloud = RunPod(comfyui)
    server = await asyncio.start_server(cloud.serve, "127.0.0.1", 0, limit=2**26)
    cloud.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    working = asyncio.create_task(cloud.work())
    try:
        yield cloud
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        server.close()
