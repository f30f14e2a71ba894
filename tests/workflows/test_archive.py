"""Archives of workflows: read as they were written, and whatever else somebody may send is refused."""

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.refusals import Invalid
from workflows.archive import ENDS, MAX_FILES, MAX_VERSIONS, archive, is_archive

LIMIT = 10_000
GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
Files = dict[str, Any]


def about(versions: int = 1, **more: Any) -> Files:
    listed = [{"number": n, "graph": f"versions/{n}.json"} for n in range(1, versions + 1)]
    return {"id": str(UUID(int=7)), "name": "Kept", "versions": listed} | more


def zipped(files: Files, how: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", how) as made:
        for name, content in files.items():
            made.writestr(name, content if isinstance(content, bytes) else msgspec.json.encode(content))
        made.comment = comment
    return sink.getvalue()


def whole(**more: Any) -> Files:
    return {"workflow.json": about(), "versions/1.json": GRAPH} | more


def read(body: bytes) -> list[Any]:
    with archive(body, LIMIT) as opened:
        return [opened.graphs(version).graph for version in opened.about.versions]


def test_what_was_written_is_read() -> None:
    second = {"number": 2, "graph": "versions/2.json", "editor_graph": "versions/2.editor.json", "note": "n"}
    files = {
        "workflow.json": about() | {"versions": [{"number": 1, "graph": "versions/1.json"}, second]},
        "versions/": b"",
        "versions/1.json": GRAPH,
        "versions/2.json": GRAPH,
        "versions/2.editor.json": {"nodes": []},
        "history.json": b"never looked at",
    }
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        body = zipped(files, how)
        assert is_archive(body)
        with archive(body, LIMIT) as opened:
            assert (opened.about.name, opened.about.versions[1].note) == ("Kept", "n")
            assert opened.graphs(opened.about.versions[1]).editor_graph == {"nodes": []}


def encrypted() -> bytes:
    body = bytearray(zipped(whole()))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(signature) + flags] |= 1
    return bytes(body)


def doubled() -> bytes:
    body = zipped(whole(**{"versions/2.json": GRAPH}))
    return body.replace(b"versions/2.json", b"versions/1.json")


def of_another_size() -> bytes:
    """It says that it unpacks to less than it does."""
    body = bytearray(zipped(whole(**{"versions/1.json": b"[" + b" " * 5_000 + b"]"})))
    listed = body.rindex(b"PK\x01\x02")
    body[listed + 24 : listed + 28] = struct.pack("<I", 10)
    return bytes(body)


def with_a_long_list() -> bytes:
    body = bytearray(zipped(whole()))
    end = body.rindex(ENDS)
    body[end + 12 : end + 16] = struct.pack("<I", 100_000_000)
    return bytes(body)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"PK\x03\x04",
        lambda: zipped(whole())[:-30],
        lambda: zipped(whole(), comment=b"hidden"),
        lambda: zipped({}),
        lambda: zipped({"workflow.json": about()}),
        lambda: zipped({"versions/1.json": GRAPH}),
        lambda: zipped({"workflow.json": b"{", "versions/1.json": GRAPH}),
        lambda: zipped({"workflow.json": b"[" * 5_000, "versions/1.json": GRAPH}),
        lambda: zipped({"workflow.json": about(0), "versions/1.json": GRAPH}),
        lambda: zipped(whole() | {"workflow.json": about(MAX_VERSIONS + 1)}, zipfile.ZIP_STORED),
        lambda: zipped(whole(**{"../../etc/passwd": b"x"})),
        lambda: zipped(whole(**{"/versions/2.json": b"x"})),
        lambda: zipped(whole(**{"versions\\2.json": b"x"})),
        lambda: zipped(whole(**{"versions/2.exe": b"x"})),
        lambda: zipped(whole(**{f"versions/{n}.json": b"" for n in range(2, MAX_FILES + 2)})),
        lambda: zipped({"workflow.json": about() | {"versions": [{"number": 1, "graph": "../1.json"}]}}),
        lambda: zipped(
            {"workflow.json": about() | {"versions": [{"number": 2, "graph": "versions/2.json"}]}}
        ),
        lambda: zipped(whole(**{"versions/1.json": b"0" * (LIMIT + 1)})),
        lambda: zipped(whole(**{"versions/1.json": b'"' + b" " * 50_000_000 + b'"'})),
        lambda: zipped(whole(**{"versions/1.json": b"[" * 5_000})),
        lambda: zipped(whole(**{"versions/1.json": b'"\\u0000"'})),
        lambda: zipped(whole(**{"versions/1.json": b"\xff"})),
        lambda: zipped(whole(), zipfile.ZIP_LZMA),
        lambda: zipped(whole(), zipfile.ZIP_BZIP2),
        encrypted,
        doubled,
        of_another_size,
        with_a_long_list,
    ],
)
def test_what_is_no_export_is_refused_in_plain_words(make: Callable[[], bytes]) -> None:
    with pytest.raises(Invalid) as refusal:
        read(make())
    (error,) = refusal.value.errors
    assert error.field == "file"
    assert error.reason.endswith(".")


def test_more_than_a_machine_should_unpack_is_refused_by_what_is_said() -> None:
    files = whole()
    body = bytearray(zipped(files))
    listed = body.rindex(b"PK\x01\x02")
    body[listed + 24 : listed + 28] = struct.pack("<I", 2**31)
    with pytest.raises(Invalid, match="cannot be imported"):
        read(bytes(body))


def test_a_version_may_have_the_editors_graph_alone() -> None:
    alone = {"number": 1, "graph": None, "editor_graph": "versions/1.editor.json"}
    files = {"workflow.json": about() | {"versions": [alone]}, "versions/1.editor.json": {"nodes": []}}
    with archive(zipped(files), LIMIT) as opened:
        found = opened.graphs(opened.about.versions[0])
        assert (found.graph, found.editor_graph) == (None, {"nodes": []})
    files["workflow.json"] = about() | {"versions": [{"number": 1, "graph": None}]}
    with pytest.raises(Invalid):
        read(zipped(files))
