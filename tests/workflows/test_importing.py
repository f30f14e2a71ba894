"""Workflows are found in files, and files without one are refused."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image, PngImagePlugin

from domain.refusals import Invalid
from workflows.importing import Imported, imported
from workflows.png_texts import SIGNATURE

LIMIT = 10_000
ENDLESS = zlib.compress(b" " * 50_000_000, 1)
GRAPH: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {"note": "Größe ✨"}}}
DRAWN: dict[str, Any] = {"nodes": [{"id": 1, "type": "EmptyImage"}], "links": [], "version": 0.4}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(*chunks: bytes) -> bytes:
    return SIGNATURE + chunk(b"IHDR", b"\0" * 13) + b"".join(chunks) + chunk(b"IEND", b"")


def text(value: Any) -> bytes:
    return msgspec.json.encode(value)


def refused(body: bytes) -> str:
    with pytest.raises(Invalid) as refusal:
        imported(body, LIMIT)
    assert [each.field for each in refusal.value.errors] == ["file"]
    return refusal.value.errors[0].reason


def made_by_comfyui(*, packed: bool = False) -> bytes:
    """As its SaveImage writes it."""
    texts, body = PngImagePlugin.PngInfo(), io.BytesIO()
    for name, value in (("prompt", GRAPH), ("workflow", DRAWN)):
        texts.add_text(name, text(value).decode(), zip=packed)
    Image.new("RGB", (4, 4)).save(body, "PNG", pnginfo=texts)
    return body.getvalue()


def test_json_of_either_format_is_imported() -> None:
    assert imported(text(GRAPH), LIMIT) == Imported(GRAPH, None)
    assert imported(b"\xef\xbb\xbf" + text(DRAWN), LIMIT) == Imported(None, DRAWN)


@pytest.mark.parametrize("packed", [False, True])
def test_both_graphs_are_found_in_a_picture(packed: bool) -> None:
    assert imported(made_by_comfyui(packed=packed), LIMIT) == Imported(GRAPH, DRAWN)


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"tEXt", b"workflow\0" + text(DRAWN)),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(text(DRAWN))),
        chunk(b"iTXt", b"workflow\0\0\0en\0W\0" + text(DRAWN)),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(text(DRAWN))),
    ],
)
def test_every_kind_of_text_is_read(chunks: bytes) -> None:
    assert imported(picture(chunks), LIMIT) == Imported(None, DRAWN)


def test_a_picture_without_a_workflow_is_refused() -> None:
    body = io.BytesIO()
    Image.new("RGB", (4, 4)).save(body, "PNG")
    assert "no workflow" in refused(body.getvalue())
    assert "no workflow" in refused(picture(chunk(b"tEXt", b"workflow\0{}")))
    assert "no workflow" in refused(picture(chunk(b"tEXt", b"parameters\0a cat")))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_other_pictures_are_refused(kind: str) -> None:
    body = io.BytesIO()
    Image.new("RGB", (4, 4)).save(body, kind)
    assert "PNG" in refused(body.getvalue())


@pytest.mark.parametrize(
    "body",
    [
        picture(chunk(b"zTXt", b"workflow\0\0" + ENDLESS)),
        picture(chunk(b"iTXt", b"workflow\0\1\0\0\0" + ENDLESS)),
        picture(chunk(b"tEXt", b"workflow\0" + b" " * (LIMIT + 1))),
        b" " * (LIMIT + 1),
    ],
)
def test_what_is_too_large_or_unfolds_without_end_is_refused(body: bytes) -> None:
    assert str(LIMIT) in refused(body)


def test_of_several_texts_of_one_name_only_the_last_is_unpacked() -> None:
    last = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(text(DRAWN)))
    body = picture(*[chunk(b"zTXt", b"workflow\0\0" + ENDLESS)] * 100, last)
    assert imported(body, LIMIT).editor_graph == DRAWN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 5_000,
        b'{"a": "\\u0000"}',
        SIGNATURE,
        SIGNATURE + b"\xff" * 20,
        made_by_comfyui()[:-20],
        made_by_comfyui().replace(b"EmptyImage", b"EmptyImagE"),
        picture(chunk(b"zTXt", b"workflow\0\0nothing")),
        picture(chunk(b"zTXt", b"workflow\0\7nothing")),
        picture(chunk(b"iTXt", b"workflow\0\0\0\0\0\xff\xff")),
        picture(chunk(b"tEXt", b"workflow\0{")),
        SIGNATURE + chunk(b"tEXt", b"") * 100_001,
    ],
)
def test_what_is_broken_is_refused(body: bytes) -> None:
    refused(body)


@given(some.binary(max_size=200))
def test_noise_is_refused_and_never_a_fault(noise: bytes) -> None:
    for body in (noise, SIGNATURE + noise, picture(chunk(b"iTXt", noise))):
        with suppress(Invalid):
            assert isinstance(imported(body, LIMIT), Imported)
