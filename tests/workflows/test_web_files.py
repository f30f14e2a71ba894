"""The files that scripts for the editor name, and which may be kept."""

import pytest

from workflows.web_files import PIECE_BYTES, cut, named_in, usable

SCRIPT = b"""
import { app } from "../../scripts/app.js";
import "./deep/more.js"; const url = new URL('style.css?v=2', import.meta.url);
fetch("/extensions/Pack/data/list.json"); fetch(`extensions/Pack/a.png`); fetch("/extensions/Other/x.json");
fetch("https://elsewhere.example/x.js"); fetch("/api/x.json"); fetch(`${base}/y.json`); load("../../../z.json");
"""


def test_what_a_script_names_is_looked_for_beside_it_and_in_its_pack() -> None:
    assert set(named_in("Pack/js/main.js", SCRIPT)) == {
        *("Pack/js/deep/more.js", "Pack/deep/more.js", "Pack/js/style.css", "Pack/style.css"),
        *("Pack/data/list.json", "Pack/a.png"),
    }
    assert list(named_in("Pack/a.png", SCRIPT)) == []
    assert list(named_in("Pack/main.css", b"a { background: url(img/b.svg#x) } @import 'c.css'")) == [
        *("Pack/img/b.svg", "Pack/img/b.svg", "Pack/c.css", "Pack/c.css"),
    ]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("Pack/a.js", True),
        ("Pack/a/b.woff2", True),
        ("a.js", False),
        ("core/a.js", False),
        ("ComfyUI-Manager/a.js", False),
        ("Pack/../core/a.js", False),
        ("../Pack/a.js", False),
        ("/Pack/a.js", False),
        ("Pack//a.js", False),
        ("Pack/a.py", False),
        ("Pack/a\n.js", False),
    ],
)
def test_only_files_for_browsers_in_a_packs_folder_are_kept(path: str, kept: bool) -> None:
    assert usable(path) is kept


def test_a_file_is_its_pieces() -> None:
    body = bytes(range(256)) * 5_000
    pieces = list(cut(body))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) == PIECE_BYTES
    assert list(cut(b"")) == []
