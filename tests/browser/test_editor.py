"""The official editor with accounts in front of it, as somebody sees it: the version that fits the recorded ComfyUI,
and the newest."""

import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.browser.studio import HIGH, PATIENCE_S, WIDE, Desk, chromium, studio, until
from tests.http.person import png

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

RED, BLUE = 16_711_680, 255
SETTING = "Comfy.Graph.CanvasInfo"


class Version(Struct, frozen=True):
    """`folder`: where it is. `logo`: what opens its menu. `history`: the tab that shows what has been run."""

    folder: Callable[[], Path]
    logo: str
    history: str


VERSIONS = {
    "1.27.10": Version(
        lambda: Path(str(files("comfyui_frontend_package"))), ".comfyui-logo-wrapper", "queue"
    ),
    "newest": Version(
        lambda: Path(sys.prefix) / "editor-newest", "[data-testid=sidebar-top-group] button", "assets"
    ),
}


class Studio(Struct, frozen=True):
    url: str
    version: Version
    browser: Any
    pictures: Path


@pytest.fixture(scope="module", params=VERSIONS)
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    version, folder = VERSIONS[request.param], tmp_path_factory.mktemp("studio")
    with studio(folder / "data", version.folder()) as url, chromium() as browser:
        yield Studio(url, version, browser, folder)


@pytest.fixture
def desk(at: Studio, request: pytest.FixtureRequest) -> Iterator[Callable[[], Desk]]:
    """What each one sees last is kept as a picture, for whoever wonders why a test fails."""
    desks: list[Desk] = []

    def made() -> Desk:
        context = at.browser.new_context(viewport={"width": WIDE, "height": HIGH})
        desks.append(Desk(context, at.url))
        return desks[-1]

    yield made
    for number, each in enumerate(desks):
        each.shoot(at.pictures, f"{request.node.originalname}-{number}")
        each.close()


def test_a_day_in_the_editor(at: Studio, desk: Callable[[], Desk]) -> None:
    ann, bob = desk(), desk()
    ann.join()
    ann.ready()
    ann.lay(picture())
    ann.save_as("fox")
    (workflow,) = saved(ann, 1)
    assert workflow["name"] == "fox"
    ann.set(1, "color", BLUE)
    ann.press("Control+s")
    (workflow,) = saved(ann, 2)
    ann.run()
    ann.sees_picture(2)
    assert ann.pixel(2) == [0, 0, 255]
    ann.shoot(at.pictures, "picture")
    ann.lay(sleep(120))
    ann.run()
    until(lambda: "running" in states(ann), "the long one runs")
    ann.execute("Comfy.Interrupt")
    until(lambda: states(ann) == ["cancelled", "succeeded"], "it is cancelled")
    ann.execute(f"Workspace.ToggleSidebarTab.{at.version.history}")
    ann.sees_in_the_sidebar("fox_00001_.png")
    ann.shoot(at.pictures, "history")
    ann.lay(drawn([node(1, "LoadImage", ["", "image"], outputs=[])], []))
    ann.upload(1, "red.png", png())
    assert "red.png" in str(ann.answer("internal/files/input"))
    ann.change_setting(SETTING, False)

    bob.join()  # at the same time
    bob.ready()
    assert runs(bob) == []
    assert bob.answer("api/history") == [200, "{}"]
    assert bob.answer("internal/files/input") == [200, "[]"]
    assert "fox" not in str(bob.answer("api/userdata?dir=workflows&recurse=true&split=false&full_info=true"))
    assert bob.answer("api/view?filename=fox_00001_.png&type=output&subfolder=")[0] == 404
    assert bob.answer("api/view?filename=red.png&type=input&subfolder=")[0] == 404
    assert bob.setting(SETTING) is True

    ann.page.reload()
    ann.ready()
    assert ann.setting(SETTING) is False
    ann.open("fox")
    assert ann.widget(1, "color") == BLUE
    ann.shoot(at.pictures, "opened")
    ann.log_out(at.version.logo)
    assert ann.context.request.get(f"{at.url}/editor/api/history").status == 401
    assert ann.refused == bob.refused == []


def test_a_workflow_is_renamed_and_deleted_in_the_sidebar(at: Studio, desk: Callable[[], Desk]) -> None:
    """It is the same workflow with its versions under another name, and then it lies in the trash."""
    ann = desk()
    ann.join()
    ann.ready()
    ann.lay(picture())
    ann.save_as("fox")
    (workflow,) = saved(ann, 1)
    ann.choose("fox", "Rename")
    ann.type_name("vixen")
    until(lambda: saved(ann, 1)[0]["name"] == "vixen", "it is renamed")
    ann.shoot(at.pictures, "renamed")
    assert saved(ann, 1)[0]["id"] == workflow["id"]
    ann.set(1, "color", BLUE)
    ann.press("Control+s")
    (renamed,) = saved(ann, 2)
    assert (renamed["id"], renamed["name"]) == (workflow["id"], "vixen")
    ann.choose("vixen", "Delete")
    ann.confirm()
    until(lambda: ann.api.get("/workflows").json()["items"] == [], "it is deleted")
    ann.shoot(at.pictures, "deleted")
    (thrown,) = ann.api.get("/workflows/trash").json()["items"]
    assert thrown["workflow"]["id"] == workflow["id"]
    assert "vixen" not in str(
        ann.answer("api/userdata?dir=workflows&recurse=true&split=false&full_info=true")
    )


def test_work_stays_in_the_tab_when_the_session_ends(at: Studio, desk: Callable[[], Desk]) -> None:
    ann = desk()
    ann.join()
    ann.ready()
    ann.lay(picture())
    ann.api.delete("/auth/sessions")  # everywhere but where the API is asked
    ann.run()
    bar = ann.page.locator("#comfyplus-session")
    bar.wait_for(timeout=PATIENCE_S * 1000)
    ann.shoot(at.pictures, "ended")
    with ann.context.expect_page() as opened:
        bar.get_by_role("button").click()
    again = opened.value
    ann.log_in(again)
    again.get_by_text("You are logged in again.").wait_for(timeout=PATIENCE_S * 1000)
    again.screenshot(path=at.pictures / "again.png")
    again.close()
    bar.wait_for(state="detached", timeout=PATIENCE_S * 1000)
    ann.page.keyboard.press("Escape")  # what the editor has told of the run that was refused
    ann.run()
    ann.sees_picture(2)


def test_nobody_finds_what_somebody_else_has_left_in_the_browser(
    at: Studio, desk: Callable[[], Desk]
) -> None:
    ann, bob = desk(), desk()
    bob.join()
    ann.join()
    ann.ready()
    ann.lay(picture("secret fox"))
    ann.page.wait_for_function(KEPT, timeout=PATIENCE_S * 1000)
    ann.context.clear_cookies()
    ann.page.goto(f"{at.url}/editor/")
    bob.log_in(ann.page)
    ann.page.wait_for_url("**/editor/")
    ann.ready()
    assert not ann.page.evaluate(KEPT)
    assert "secret fox" not in ann.page.evaluate("() => JSON.stringify(window.app.graph.serialize())")


KEPT = """() => [localStorage, sessionStorage].some(
    storage => Object.keys(storage).some(key => storage.getItem(key).includes('secret fox')))"""


def saved(desk: Desk, versions: int) -> list[dict[str, Any]]:
    """Their workflows, once the one that there is has so many versions."""
    found: list[dict[str, Any]] = []

    def kept() -> bool:
        found[:] = desk.api.get("/workflows").json()["items"]
        return len(found) == 1 and found[0]["version"] == versions

    until(kept, f"one workflow with {versions} versions")
    return found


def runs(desk: Desk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = desk.api.get("/runs").json()["items"]
    return listed


def states(desk: Desk) -> list[str]:
    return sorted(run["status"] for run in runs(desk))


def picture(prefix: str = "fox") -> dict[str, Any]:
    return drawn(
        [
            node(1, "EmptyImage", [256, 256, 1, RED], outputs=[1]),
            node(2, "SaveImage", [prefix], inputs={"images": 1}),
        ],
        [[1, 1, 0, 2, 0, "IMAGE"]],
    )


def sleep(seconds: float) -> dict[str, Any]:
    return drawn([node(1, "SandboxSleep", [seconds, 100, ""], outputs=[])], [])


def drawn(nodes: list[dict[str, Any]], links: list[list[Any]]) -> dict[str, Any]:
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def node(
    id: int,
    kind: str,
    values: list[Any],
    *,
    inputs: dict[str, int] | None = None,
    outputs: list[int] | None = None,
) -> dict[str, Any]:
    return {
        "id": id,
        "type": kind,
        "pos": [360 * id - 300, 160],
        "size": [300, 320],
        "flags": {},
        "order": id - 1,
        "mode": 0,
        "inputs": [{"name": name, "type": "IMAGE", "link": link} for name, link in (inputs or {}).items()],
        "outputs": [] if outputs is None else [{"name": "IMAGE", "type": "IMAGE", "links": outputs}],
        "properties": {},
        "widgets_values": values,
    }
