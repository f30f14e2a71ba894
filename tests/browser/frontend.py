"""The official frontend out of its wheel, served with what a real ComfyUI told, and asked what it would send."""

import mimetypes
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from tests.workflows.editor.recorded import object_info

PATIENCE_MS = 180_000
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
}
SYSTEM = {
    "system": {"comfyui_version": "0.3.64", "argv": [], "os": "posix", "python_version": "3"},
    "devices": [],
}
ANSWERS: dict[str, Any] = {
    "/api/users": {"storage": "server", "migrated": True},
    "/api/settings": SETTINGS,
    "/api/system_stats": SYSTEM,
    "/api/queue": {"queue_running": [], "queue_pending": []},
    "/api/prompt": {"exec_info": {"queue_remaining": 0}},
    **{
        path: [] for path in ("/api/extensions", "/api/embeddings", "/api/userdata", "/api/experiment/models")
    },
    **{path: {} for path in ("/api/i18n", "/api/features", "/api/history", "/api/workflow_templates")},
}
READY = """() => window.app?.graph && window.LiteGraph
    && Object.keys(window.LiteGraph.registered_node_types).length > 490"""
STILL = "() => { window.app.canvas.draw = () => {}; window.app.canvas.stopRendering?.() }"
CONVERT = """async (text) => {
    const silent = {showMissingNodesDialog: false, showMissingModelsDialog: false};
    try {
        await window.app.loadGraphData(JSON.parse(text), true, false, null, silent);
        return {prompt: (await window.app.graphToPrompt()).output};
    } catch (error) {
        return {error: String(error)};
    }
}"""


class Frontend:
    def __init__(self, page: Any) -> None:
        self._page = page

    def prompt(self, graph: dict[str, Any]) -> dict[str, Any] | None:
        """What it sends for a workflow; None where it cannot."""
        answer = self._page.evaluate(CONVERT, msgspec.json.encode(graph).decode())
        prompt: dict[str, Any] | None = answer.get("prompt")
        return prompt


@contextmanager
def frontend() -> Iterator[Frontend]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "`make test-browser` installs it"
    with served() as url, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments, timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": 100, "height": 100})
        page.goto(url, wait_until="commit", timeout=PATIENCE_MS)
        page.wait_for_function(READY, timeout=PATIENCE_MS)
        page.evaluate(STILL)  # drawing takes most of the time, and nobody looks
        yield Frontend(page)
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/object_info":
            self._answer(object_info(), "application/json")
        elif path in ANSWERS:
            self._answer(msgspec.json.encode(ANSWERS[path]), "application/json")
        elif (file := _file(path)) is not None:
            self._answer(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")
        else:
            self._answer(b"{}", "application/json", 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(b"{}", "application/json")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, body: bytes, media_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _file(path: str) -> Path | None:
    folder = Path(str(files("comfyui_frontend_package"))) / "static"
    file = (folder / path.lstrip("/") if path != "/" else folder / "index.html").resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
