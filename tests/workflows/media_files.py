"""Small files of each kind that is uploaded beside pictures."""

import io
import struct
import wave


def sound() -> bytes:
    """A tenth of a second of silence."""
    body = io.BytesIO()
    with wave.open(body, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8_000)
        written.writeframes(bytes(1_600))
    return body.getvalue()


def shape() -> bytes:
    """A GLB with nothing in it."""
    told = b'{"asset":{"version":"2.0"}}'
    told += b" " * (-len(told) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(told), len(told), 0x4E4F534A) + told


STL = bytes(80) + struct.pack("<I", 1) + bytes(50)
OBJ = b"# a corner\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
GLTF = b'{"asset":{"version":"2.0"},"scenes":[]}'
FILM = struct.pack(">I", 24) + b"ftypisom" + bytes(12) + struct.pack(">I", 8) + b"mdat"
HTML = b"<html><script>alert(1)</script></html>"

FILES = {
    "a.wav": sound(),
    "a.mp3": b"ID3\x04" + bytes(60),
    "b.mp3": b"\xff\xfb\x90\x44" + bytes(400),
    "a.flac": b"fLaC" + bytes(60),
    "a.ogg": b"OggS\0" + bytes(23) + b"\x01vorbis" + bytes(30),
    "a.opus": b"OggS\0" + bytes(23) + b"OpusHead" + bytes(30),
    "a.m4a": b"\0\0\0\x18ftypM4A " + bytes(60),
    "a.aac": b"\xff\xf1\x50\x80" + bytes(60),
    "a.mp4": FILM,
    "A.MP4": FILM,
    "a.mov": b"\0\0\0\x18ftypqt  " + bytes(60),
    "a.webm": b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(60),
    "a.mkv": b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska" + bytes(60),
    "a.avi": b"RIFF\0\0\0\0AVI LIST" + bytes(60),
    "a.glb": shape(),
    "a.gltf": GLTF,
    "a.obj": OBJ,
    "a.stl": STL,
    "b.stl": b"solid x\nendsolid x\n",
    "a.fbx": b"Kaydara FBX Binary  \0\x1a\0" + bytes(60),
}
