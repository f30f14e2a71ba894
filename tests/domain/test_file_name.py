"""Names of files: what they mean, and what leads nowhere."""

import pytest

from domain.file_name import FileName, checked_name, folder, loaded, numbered
from domain.refusals import DomainError, Invalid, NotAllowed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x.png", FileName("x.png", "", "input")),
        ("a/b/x.png", FileName("x.png", "a/b", "input")),
        ("x.png [output]", FileName("x.png", "", "output")),
        ("a/x.png [temp]", FileName("x.png", "a", "temp")),
        ("a\\x.png [input]", FileName("x.png", "a", "input")),
        ("a/../b/x.png", FileName("x.png", "b", "input")),
        ("ärger 日本.png", FileName("ärger 日本.png", "", "input")),
    ],
)
def test_a_node_names_a_file_with_its_folder_and_type(text: str, name: FileName) -> None:
    assert loaded(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "..", "a/", "/etc/passwd", "/x.png", "../x.png", "a/../../x.png", "..\\x.png", "x\0.png"),
        *(
            "x\n.png",
            "a\x7f/x.png",
            "x..png",
            "x" * 300,
            "ä" * 200,
            "/".join("abcdefghi") + "/x.png",
            "\ud800.png",
        ),
    ],
)
def test_what_leads_outside_or_can_be_no_file_is_refused(text: str) -> None:
    with pytest.raises(DomainError):
        loaded(text)


def test_a_folder_is_kept_in_one_form() -> None:
    assert [folder(text) for text in ("", ".", "./", "a", "a/", "a//b/.", "a/b/..")] == [
        *("", "", "", "a", "a", "a/b", "a")
    ]
    for outside in ("..", "a/../..", "/", "/etc", "\\etc"):
        with pytest.raises(NotAllowed):
            folder(outside)


def test_a_name_alone_has_no_folders() -> None:
    assert checked_name("a b.png") == "a b.png"
    for wrong in ("", ".", "..", "/x"):
        with pytest.raises(Invalid):
            checked_name(wrong)


def test_names_are_numbered_as_comfyui_does() -> None:
    assert [numbered("red.png", number) for number in range(3)] == ["red.png", "red (1).png", "red (2).png"]
    assert numbered("a.tar.gz", 1) == "a.tar (1).gz"
    assert numbered("no ending", 1) == "no ending (1)"
    assert numbered(".hidden", 1) == ".hidden (1)"
