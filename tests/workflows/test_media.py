"""What is uploaded beside pictures is what its name says, or is refused."""

import io

import pytest

from tests.workflows.media_files import FILES, GLTF, HTML, OBJ, shape, sound
from workflows.media import TYPES, ending_of, media_type_of


def told(name: str, body: bytes) -> str | None:
    file = io.BytesIO(body)
    kind = media_type_of(name, file)
    assert file.tell() == 0
    return kind


@pytest.mark.parametrize("name", FILES)
def test_each_kind_is_known_by_its_content(name: str) -> None:
    assert told(name, FILES[name]) == TYPES["." + name.lower().rpartition(".")[2]]


@pytest.mark.parametrize("name", FILES)
def test_a_page_is_none_of_them_whatever_it_is_called(name: str) -> None:
    for body in (HTML, b"", b"x", b"\0" * 600, HTML + FILES[name]):
        assert told(name, body) is None


def test_a_file_that_never_ends_as_it_should_is_looked_through_once() -> None:
    assert told("a.stl", b"solid" + b" endsolid" * 500_000 + b"\0") is None
    assert told("a.stl", b"solid" + b" endsolids" * 500_000) is None


def test_another_name_is_another_kind_and_then_no_kind_at_all() -> None:
    for name in (
        "a.html",
        "a.svg",
        "a.js",
        "a.safetensors",
        "a.zip",
        "wav",
        ".wav",
        "a",
        "a.wav.html",
        "a.png",
    ):
        assert told(name, sound()) is None
    assert told("a.mp3", sound()) is None


def test_a_shape_that_is_not_whole_or_holds_something_else_is_refused() -> None:
    assert told("a.glb", shape()[:-1]) is None
    assert told("a.glb", shape() + HTML) is None
    assert told("a.gltf", GLTF[:-1]) is None
    assert told("a.gltf", b"[1]") is None
    assert told("a.obj", OBJ + HTML) is None
    assert told("a.obj", b"# only a word\n") is None
    assert told("a.stl", FILES["a.stl"] + b"x") is None


def test_no_kind_is_one_that_a_browser_runs() -> None:
    assert not {
        kind
        for kind in TYPES.values()
        if "html" in kind or "svg" in kind or "script" in kind or "xml" in kind
    }
    assert all(TYPES[ending_of(kind)] == kind for kind in TYPES.values())
