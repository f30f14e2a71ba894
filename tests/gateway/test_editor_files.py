"""The editor's files: what there is, and nothing else."""

import gzip
from pathlib import Path

import pytest

from adapters.http.editor import pages
from adapters.http.editor.files import Files
from adapters.http.editor.serving import policy
from adapters.http.gateway.call import Answer
from infra.editor import editor_folder
from infra.settings import Settings, SettingsError

SCRIPT = "console.log('a fox');\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("nobody's business")
    made = tmp_path / "static"
    for name, text in {
        "index.html": "<html></html>",
        "assets/index-BKeTeXLp.js": SCRIPT,
        "assets/index-BKeTeXLp.js.map": "{}",
        "assets/lib/vue.mjs": "export {}",
        "scripts/app.js": "export {}",
        "odd.name": "?",
    }.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


async def asked(folder: Path, name: str, **headers: str) -> tuple[Answer | None, dict[bytes, bytes]]:
    sent = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    answer = await Files(folder).answer(name, sent)
    return answer, dict(answer.headers) if answer is not None else {}


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "assets/../../secret.txt", "/etc/passwd", "assets", "", "assets/index-BKeTeXLp.js.map"],
)
async def test_there_is_nothing_beside_the_files(folder: Path, name: str) -> None:
    assert await asked(folder, name) == (None, {})


@pytest.mark.parametrize(
    ("name", "media_type", "kept"),
    [
        ("assets/index-BKeTeXLp.js", "text/javascript; charset=utf-8", b"immutable"),
        ("assets/lib/vue.mjs", "text/javascript; charset=utf-8", b"max-age=3600"),
        ("scripts/app.js", "text/javascript; charset=utf-8", b"no-cache"),
        ("odd.name", "application/octet-stream", b"no-cache"),
    ],
)
async def test_a_file_has_its_type_and_is_kept_as_long_as_its_name_allows(
    folder: Path, name: str, media_type: str, kept: bytes
) -> None:
    answer, headers = await asked(folder, name)
    assert answer is not None
    assert answer.media_type == media_type
    assert kept in headers[b"cache-control"]
    again, _ = await asked(folder, name, if_none_match=headers[b"etag"].decode())
    assert again is not None
    assert (again.status, again.body) == (304, b"")


async def test_what_is_text_travels_packed_to_who_takes_it_so(folder: Path) -> None:
    plain, _ = await asked(folder, "assets/index-BKeTeXLp.js")
    packed, headers = await asked(folder, "assets/index-BKeTeXLp.js", accept_encoding="gzip, br")
    assert plain is not None
    assert packed is not None
    assert plain.body.decode() == gzip.decompress(packed.body).decode() == SCRIPT
    assert headers[b"content-encoding"] == b"gzip"
    assert len(packed.body) < len(plain.body) / 10


def test_scripts_in_the_page_itself_run_only_as_they_came() -> None:
    said = policy('<script type="importmap">{}</script><script src="a.js"></script><script>go()</script>')
    assert said.count(b"'sha256-") == 2
    assert b"'sha256-RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o='" in said  # of {}
    scripts = said.partition(b"script-src")[2].partition(b";")[0]
    assert b"unsafe-inline" not in scripts
    assert b"'unsafe-eval'" not in scripts


def test_what_somebody_has_typed_comes_back_as_text() -> None:
    typed = '"><script>alert(1)</script>'
    for html in (
        pages.log_in(login=typed, said=typed, provider=typed, again=True),
        pages.join(username=typed, email=typed, said=typed, faults=[typed]),
        pages.code(said=typed, state=typed),
        pages.told(typed, typed),
    ):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_the_editor_is_found_in_the_folder_that_is_named(folder: Path, tmp_path: Path) -> None:
    assert editor_folder(Settings(editor=folder)) == folder
    assert editor_folder(Settings(editor=tmp_path)) == folder  # of an unpacked package
    with pytest.raises(SettingsError, match=r"no index\.html"):
        editor_folder(Settings(editor=folder / "assets"))
