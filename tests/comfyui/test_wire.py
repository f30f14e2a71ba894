"""The wire types take what is known and survive what is not."""

import pytest

from workflows.protocol.frames import (
    Preview,
    PreviewMetadata,
    ProgressText,
    UnknownFrame,
    decode_frame,
    encode_preview,
    encode_preview_with_metadata,
    encode_text,
)
from workflows.protocol.history import OutputFile, output_files
from workflows.protocol.messages import Executing, ExecutingBody, Unknown, decode_message, encode_message
from workflows.protocol.queue import decode_queue_ids


def test_a_preview_with_metadata_survives_the_way() -> None:
    metadata = PreviewMetadata(node_id="6", prompt_id="p", display_node_id="6", real_node_id="6")
    frame = encode_preview_with_metadata(b"jpeg", metadata)
    assert frame[:4] == b"\0\0\0\4"
    assert decode_frame(frame) == Preview(image=b"jpeg", media_type="image/jpeg", metadata=metadata)


def test_a_plain_preview_names_its_format_only() -> None:
    assert encode_preview(b"x", "image/png") == bytes.fromhex("0000000100000002") + b"x"
    assert decode_frame(encode_preview(b"x", "image/png")) == Preview(image=b"x", media_type="image/png")


def test_a_progress_text_may_hold_any_character() -> None:
    assert decode_frame(encode_text("1", "working on it é")) == ProgressText("1", "working on it é")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0\1",
        b"\0\0\0\1\0\0\0\7x",
        b"\0\0\0\3\0\0\0\xffx",
        b"\0\0\0\3\0\0\0\1\xff\xff",
        b"\0\0\0\4\0\0\0\2{]",
        b"\0\0\0\4\0\0\0\2{}",
        b"\0\0\0\x63\0\0\0\0",
    ],
)
def test_a_frame_that_cannot_be_understood_is_not_an_error(frame: bytes) -> None:
    assert isinstance(decode_frame(frame), UnknownFrame)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"type":"crystools.monitor","data":{"cpu":3}}', "crystools.monitor"),
        ('{"type":"progress","data":{"shape":"of a custom node"}}', "progress"),
        ('{"type":"status","data":null}', "status"),
        ('{"no":"type"}', ""),
        ("[1,2]", ""),
        ("not json", ""),
        ("[" * 5000, ""),
        ('{"type":7}', ""),
    ],
)
def test_a_message_that_cannot_be_understood_is_not_an_error(text: str, kind: str) -> None:
    assert decode_message(text) == Unknown(kind)


def test_more_fields_than_known_are_ignored() -> None:
    text = '{"type":"executing","data":{"node":"1","prompt_id":"p","new":1},"also":2}'
    assert decode_message(text) == Executing(ExecutingBody(node="1", prompt_id="p"))


def test_what_is_absent_on_the_wire_stays_absent() -> None:
    assert encode_message(Executing(ExecutingBody(node="10"))) == b'{"type":"executing","data":{"node":"10"}}'
    over = Executing(ExecutingBody(node=None, prompt_id="p"))
    assert encode_message(over) == b'{"type":"executing","data":{"node":null,"prompt_id":"p"}}'


def test_files_are_found_under_any_kind_and_other_things_passed_over() -> None:
    output = {
        "images": [{"filename": "a.png", "subfolder": "s", "type": "temp"}, {"filename": 7}, "x"],
        "gifs": [{"filename": "b.webm", "format": "video/webm"}],
        "text": ["done"],
        "animated": (True,),
    }
    assert list(output_files(output)) == [
        ("images", OutputFile("a.png", "s", "temp")),
        ("gifs", OutputFile("b.webm")),
    ]


def test_a_queue_entry_may_grow() -> None:
    body = b'{"queue_running":[[3,"p",{},{},["1"],{"newer":true}]],"queue_pending":[]}'
    assert decode_queue_ids(body).queue_running[0].prompt_id == "p"
