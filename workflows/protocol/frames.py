"""The binary messages of ComfyUI's WebSocket: big-endian u32 event, then the event's own layout.

| event | layout |
|---|---|
| 1 | u32 format (1 JPEG, 2 PNG), image bytes |
| 3 | u32 n, n bytes node id, text (both UTF-8) |
| 4 | u32 n, n bytes JSON metadata, image bytes |
"""

import struct
from typing import TypeAlias

from msgspec import DecodeError, Struct, json

PREVIEW, PROGRESS_TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
FORMATS = {1: "image/jpeg", 2: "image/png"}


class PreviewMetadata(Struct, frozen=True, kw_only=True):
    node_id: str
    prompt_id: str
    display_node_id: str | None = None
    parent_node_id: str | None = None
    real_node_id: str | None = None
    image_type: str = "image/jpeg"


class Preview(Struct, frozen=True, kw_only=True):
    """An image on its way. Without `metadata` (event 1) nobody can tell whose it is."""

    image: bytes
    media_type: str
    metadata: PreviewMetadata | None = None


class ProgressText(Struct, frozen=True):
    node: str
    text: str


class UnknownFrame(Struct, frozen=True):
    """An event that is not ours to understand, or one that is broken."""

    event: int


Frame: TypeAlias = Preview | ProgressText | UnknownFrame

_metadata = json.Decoder(PreviewMetadata)


def decode_frame(frame: bytes) -> Frame:
    """Never raises: custom nodes send events of their own."""
    event, extent = struct.unpack_from(">II", frame) if len(frame) >= 8 else (0, 0)
    if event == PREVIEW and extent in FORMATS:
        return Preview(image=frame[8:], media_type=FORMATS[extent])
    head, rest = frame[8 : 8 + extent], frame[8 + extent :]
    if len(head) < extent:
        return UnknownFrame(event)
    try:
        match event:
            case 3:
                return ProgressText(head.decode(), rest.decode())
            case 4:
                metadata = _metadata.decode(head)
                return Preview(image=rest, media_type=metadata.image_type, metadata=metadata)
            case _:
                return UnknownFrame(event)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return UnknownFrame(event)


def encode_preview(image: bytes, media_type: str) -> bytes:
    """Event 1, for clients that did not ask for metadata."""
    number = next((number for number, name in FORMATS.items() if name == media_type), 1)
    return struct.pack(">II", PREVIEW, number) + image


def encode_preview_with_metadata(image: bytes, metadata: PreviewMetadata) -> bytes:
    """Event 4, for clients that set the feature flag `supports_preview_metadata`."""
    head = json.encode(metadata)
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(head)) + head + image


def encode_text(node: str, text: str) -> bytes:
    """Event 3."""
    head = node.encode()
    return struct.pack(">II", PROGRESS_TEXT, len(head)) + head + text.encode()
