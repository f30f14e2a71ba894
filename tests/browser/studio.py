"""Everything, as `comfyplus up` starts it, with one version of the editor; and somebody who sits in front of it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from infra.embedded.ports import free_port
from infra.up import ROOT

PASSWORD = "correct horse battery"
PATIENCE_S = 60.0
READY = """() => window.app?.graph && window.app.extensionManager
    && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 20"""
LOAD_S = 40
LISTED_S = 3
LOADS = 5  # Chromium gives up on what it fetches when a network of the machine comes or goes
PICTURE = "id => window.app.graph.getNodeById(id)?.imgs?.[0]?.naturalWidth > 0"
EXECUTE = "id => window.app.extensionManager.command.execute(id)"
WIDE, HIGH = 1400, 850


@contextmanager
def studio(data: Path, editor: Path) -> Iterator[str]:
    """Its address, once ComfyUI's nodes are known."""
    port = free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("COMFYPLUS_", "COMFYUI_"))
    } | {"COMFYPLUS_DATA": str(data), "COMFYPLUS_PORT": str(port), "COMFYPLUS_EDITOR": str(editor)}
    program = (sys.executable, "-m", "infra.cli", "up")
    process = subprocess.Popen(program, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(trust_env=False, timeout=30) as http:
            until(lambda: process.poll() is not None or _answers(http, url), "everything is up")
        assert process.poll() is None, "it has ended by itself"
        yield url
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program is not None, "`make test-browser` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=PATIENCE_S * 1000,
        )
        yield browser
        browser.close()


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.1)


class Desk:
    """A browser of somebody's own, with the editor in it. `api` asks the API as the same account."""

    def __init__(self, context: Any, url: str) -> None:
        self.name = f"b-{uuid4().hex[:10]}"
        self.url = url
        self.context = context
        self.page = context.new_page()
        self.page.on("dialog", lambda dialog: dialog.accept())  # leave, whatever is unsaved
        self.refused: list[str] = []
        self.page.on("console", self._heard)
        self.api = httpx.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30)

    def join(self) -> None:
        """At the page, which leads to the editor."""
        self.page.goto(f"{self.url}/editor/")
        self.page.get_by_role("link", name="Create an account").click()
        self.page.get_by_label("Username").fill(self.name)
        self.page.get_by_label("E-mail address").fill(f"{self.name}@example.org")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create the account").click()
        self.page.wait_for_url("**/editor/")
        tokens = self.api.post("/auth/login", json={"login": self.name, "password": PASSWORD}).json()
        self.api.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    def log_in(self, page: Any = None) -> None:
        page = self.page if page is None else page
        page.get_by_label("Username or e-mail address").fill(self.name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()

    def ready(self) -> None:
        """The editor stands; a new account's greeting is closed."""
        from playwright.sync_api import TimeoutError as TooLateError

        for attempt in range(LOADS):
            try:
                self.page.wait_for_function(READY, timeout=LOAD_S * 1000)
                break
            except TooLateError:
                assert attempt < LOADS - 1, "the editor does not stand"
                self.page.reload()
        self.page.wait_for_timeout(1500)
        for _ in range(3):
            self.page.keyboard.press("Escape")
            self.page.wait_for_timeout(200)

    def lay(self, graph: dict[str, Any]) -> None:
        self.page.evaluate("graph => window.app.loadGraphData(graph)", graph)

    def set(self, node: int, widget: str, value: Any) -> None:
        self.page.evaluate(
            """([node, name, value]) => {
                const found = window.app.graph.getNodeById(node);
                const widget = found.widgets.find(each => each.name === name);
                widget.value = value;
                widget.callback?.(value, window.app.canvas, found);
                window.app.graph.afterChange?.();
                window.app.extensionManager.workflow?.activeWorkflow?.changeTracker?.checkState();
            }""",
            [node, widget, value],
        )

    def press(self, keys: str) -> None:
        self.page.evaluate("() => document.activeElement?.blur()")  # out of any field
        self.page.keyboard.press(keys)

    def save_as(self, name: str) -> None:
        self.press("Control+s")
        field = self.page.get_by_role("dialog").locator("input").first
        field.wait_for(timeout=PATIENCE_S * 1000)
        field.fill(name)
        field.press("Enter")
        field.wait_for(state="detached", timeout=PATIENCE_S * 1000)

    def run(self) -> None:
        self.press("Control+Enter")

    def sees_picture(self, node: int) -> None:
        self.page.wait_for_function(PICTURE, arg=node, timeout=PATIENCE_S * 1000)

    def sees_in_the_sidebar(self, file: str) -> None:
        self.page.wait_for_function(
            """file => [...document.querySelectorAll('img')].some(
                each => each.src.includes('api/view') && each.src.includes(file) && each.naturalWidth > 0)""",
            arg=file,
            timeout=PATIENCE_S * 1000,
        )

    def pixel(self, node: int) -> list[int]:
        """Of the middle of a node's picture."""
        color: list[int] = self.page.evaluate(
            """id => {
                const picture = window.app.graph.getNodeById(id).imgs[0];
                const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
                const context = canvas.getContext('2d');
                context.drawImage(picture, 0, 0);
                return [...context.getImageData(picture.naturalWidth / 2, picture.naturalHeight / 2, 1, 1).data]
                    .slice(0, 3);
            }""",
            node,
        )
        return color

    def widget(self, node: int, name: str) -> Any:
        return self.page.evaluate(
            "([id, name]) => window.app.graph.getNodeById(id).widgets.find(each => each.name === name).value",
            [node, name],
        )

    def upload(self, node: int, name: str, body: bytes) -> None:
        """Into a node that loads pictures, which then shows it."""
        with self.page.expect_file_chooser() as chooser:
            self.page.evaluate(
                """id => window.app.graph.getNodeById(id).widgets
                    .find(each => each.name === 'upload' || each.type === 'button').callback()""",
                node,
            )
        chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": body})
        self.sees_picture(node)
        assert self.widget(node, "image") == name

    def setting(self, id: str) -> Any:
        return self.page.evaluate("id => window.app.extensionManager.setting.get(id)", id)

    def change_setting(self, id: str, value: Any) -> None:
        """Answered by the server when this returns."""
        with self.page.expect_response(lambda answer: f"/settings/{id}" in answer.url) as told:
            self.page.evaluate(
                "([id, value]) => window.app.extensionManager.setting.set(id, value)", [id, value]
            )
        assert told.value.status == 200

    def open(self, workflow: str) -> None:
        """Out of the sidebar."""
        self.execute("Workspace.ToggleSidebarTab.workflows")
        self.page.get_by_text(re.compile(rf"^{workflow}(\.json)?$")).last.click()
        self.page.wait_for_function(
            "name => window.app.extensionManager.workflow.activeWorkflow?.filename === name",
            arg=workflow,
            timeout=PATIENCE_S * 1000,
        )

    def choose(self, workflow: str, wish: str) -> None:
        """Of the menu of a workflow in the sidebar."""
        from playwright.sync_api import TimeoutError as TooLateError

        name = re.compile(rf"^\s*{workflow}(\.json)?\s*$")
        listed = self.page.locator(".side-bar-panel, .sidebar-content-container").get_by_text(name).last
        try:
            listed.wait_for(timeout=LISTED_S * 1000)  # it is away for a moment while the list is read again
        except TooLateError:
            self.execute("Workspace.ToggleSidebarTab.workflows")
        listed.click(button="right")
        menu = self.page.locator(".p-contextmenu, [role=menu]")
        menu.get_by_text(re.compile(rf"^{wish}$")).last.click()

    def type_name(self, name: str) -> None:
        """Into the field that has just opened."""
        self.page.wait_for_function(
            "() => document.activeElement?.tagName === 'INPUT'", timeout=PATIENCE_S * 1000
        )
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")

    def confirm(self) -> None:
        wanted = re.compile(r"^\s*(Delete|Confirm)\s*$")
        self.page.get_by_role("dialog").locator("button").filter(has_text=wanted).last.click()

    def close(self) -> None:
        self.api.close()
        self.context.close()

    def execute(self, command: str) -> None:
        self.page.evaluate(EXECUTE, command)

    def answer(self, path: str) -> Any:
        """What the editor itself is told at this address."""
        return self.page.evaluate(
            "async path => { const told = await fetch(path); return [told.status, await told.text()] }", path
        )

    def log_out(self, logo: str) -> None:
        self.page.locator(logo).first.click()
        self.page.get_by_text("ComfyUI Plus", exact=True).hover()
        self.page.get_by_text(f"Log out ({self.name})").click()
        self.page.wait_for_url("**/editor/login")

    def shoot(self, folder: Path, name: str) -> None:
        self.page.screenshot(path=folder / f"{name}.png")

    def _heard(self, message: Any) -> None:
        """What the policy has kept from running, or from leaving, of ours."""
        if "Content Security Policy" in message.text and "Connecting to 'https://" not in message.text:
            self.refused.append(message.text)
