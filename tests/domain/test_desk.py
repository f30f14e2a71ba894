"""What an editor keeps of an account: settings, and files by their paths."""

from datetime import timedelta
from typing import Any

import pytest

from domain.desk import (
    DESK,
    INLINE_CHARACTERS,
    MAX_FILES,
    MAX_FILES_BYTES,
    MAX_SETTINGS,
    Desk,
    DeskFileKept,
    DeskFileMoved,
    DeskFileRemoved,
    DeskSettingSet,
    KeptFile,
    Setting,
    checked_path,
    keep_file,
    move_file,
    remove_file,
    set_setting,
)
from domain.refusals import Conflict, DomainError, NotAllowed, NotFound
from tests.domain.facts import ANN, NOON, content
from tests.domain.scenario import Scenario

LATER = NOON + timedelta(hours=1)
desk = Scenario(DESK)
light, dark = Setting('"light"'), Setting('"dark"')
set_light = DeskSettingSet(owner=ANN, name="Comfy.ColorPalette", setting=light)
kept = DeskFileKept(owner=ANN, path="user.css", content=content("a"), kept_at=NOON)


def keeping(path: str = "user.css", letter: str = "a", overwrite: bool = True) -> dict[str, Any]:
    return {"by": ANN, "path": path, "content": content(letter), "at": LATER, "overwrite": overwrite}


def test_a_setting_is_set_and_set_again_is_the_same() -> None:
    wish = {"by": ANN, "name": "Comfy.ColorPalette"}
    desk.given().when(set_setting, **wish, setting=light).then(set_light)
    desk.given(set_light).when(set_setting, **wish, setting=light).then_nothing()
    changed = DeskSettingSet(owner=ANN, name="Comfy.ColorPalette", setting=dark)
    desk.given(set_light).when(set_setting, **wish, setting=dark).then(changed)


def test_settings_have_bounds() -> None:
    for name, setting in (("", light), ("x" * 201, light), ("x", Setting("x" * (INLINE_CHARACTERS + 1)))):
        with pytest.raises(DomainError):
            set_setting(Desk(), by=ANN, name=name, setting=setting)
    full = Desk(ANN, {str(number): light for number in range(MAX_SETTINGS)})
    with pytest.raises(Conflict):
        set_setting(full, by=ANN, name="one more", setting=light)
    assert set_setting(full, by=ANN, name="7", setting=dark)


def test_a_file_is_kept_replaced_and_not_kept_twice() -> None:
    desk.given().when(keep_file, **keeping(overwrite=False)).then(
        DeskFileKept(owner=ANN, path="user.css", content=content("a"), kept_at=LATER)
    )
    desk.given(kept).when(keep_file, **keeping()).then_nothing()
    desk.given(kept).when(keep_file, **keeping(overwrite=False)).then_refused(Conflict, "already exists")
    replaced = DeskFileKept(owner=ANN, path="user.css", content=content("b"), kept_at=LATER)
    desk.given(kept).when(keep_file, **keeping(letter="b")).then(replaced)
    assert desk.given(kept, replaced).state.files["user.css"] == KeptFile(content("b"), NOON, LATER)


def test_files_have_bounds() -> None:
    full = Desk(
        ANN, files={str(number): KeptFile(content("a", 1), NOON, NOON) for number in range(MAX_FILES)}
    )
    heavy = Desk(ANN, files={"x": KeptFile(content("a", MAX_FILES_BYTES), NOON, NOON)})
    for state in (full, heavy):
        with pytest.raises(Conflict):
            keep_file(state, **keeping())
    assert keep_file(heavy, **keeping("x", "b"))


def test_a_file_is_moved_and_removed() -> None:
    other = DeskFileKept(owner=ANN, path="b.css", content=content("b"), kept_at=NOON)
    both = desk.given(kept, other)
    moving: dict[str, Any] = {"path": "user.css", "to": "a/./c.css", "overwrite": False}
    both.when(move_file, **moving).then(DeskFileMoved(path="user.css", to="a/c.css"))
    both.when(move_file, **moving | {"to": "b.css"}).then_refused(Conflict, "already exists")
    both.when(move_file, **moving | {"to": "user.css"}).then_nothing()
    moved = DeskFileMoved(path="user.css", to="b.css")
    both.when(move_file, **moving | {"to": "b.css", "overwrite": True}).then(moved)
    assert desk.given(kept, other, moved).state.files == {"b.css": KeptFile(content("a"), NOON, NOON)}
    both.when(remove_file, path="b.css").then(DeskFileRemoved(path="b.css"))
    desk.given(kept, DeskFileRemoved(path="user.css")).when(remove_file, path="user.css").then_refused(
        NotFound
    )
    both.when(move_file, **moving | {"path": "nope"}).then_refused(NotFound)


@pytest.mark.parametrize(
    "path", ["", "..", "a/", "a/../../x", "/x", "\\x", "x\0", "a\n/x", "x" * 300, "a/" * 9 + "x"]
)
def test_a_path_leads_nowhere_else(path: str) -> None:
    with pytest.raises(DomainError):
        checked_path(path)


def test_a_path_is_kept_without_detours() -> None:
    assert [checked_path(path) for path in ("a//b/./c.json", "a/../b", ".x")] == ["a/b/c.json", "b", ".x"]
    with pytest.raises(NotAllowed):
        checked_path("../x")
