"""A picture's file without what it tells beside the picture: texts, EXIF, XMP, comments, and whatever lies behind it.

Nothing is decoded, so nothing is lost: whole parts of the file are left out. Only parts that are known to make the
picture stay. Sources: PNG 3rd edition, section 5; JPEG ITU T.81, annex B; WebP container specification.
"""

from collections.abc import Iterator
from struct import error as StructError
from struct import pack, unpack_from

PNG, JPEG, RIFF, WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"WEBP"
PNG_PARTS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"pHYs", b"bKGD"),
    *(b"acTL", b"fcTL", b"fdAT"),
}
WEBP_PARTS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
TOLD = 0x08 | 0x04  # flags of VP8X: there is EXIF, there is XMP
SOI, EOI, SOS, COM, APP0, APP2, APP14, APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xE2, 0xEE, 0xEF
RESTARTS = range(0xD0, 0xD8)


class BrokenError(Exception):
    """The file is not whole, or none of the three kinds."""


def bare(body: bytes) -> tuple[bytes, str]:
    """The file and its type. Raises BrokenError."""
    try:
        if body.startswith(PNG):
            return b"".join(_png(body)), "image/png"
        if body.startswith(JPEG):
            return b"".join(_jpeg(body)), "image/jpeg"
        if body[:4] == RIFF and body[8:12] == WEBP:
            return _webp(body), "image/webp"
    except (StructError, IndexError) as error:
        raise BrokenError("It ends too early.") from error
    raise BrokenError("It is none of the kinds that can be looked into.")


def png_parts(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name of each chunk, and all of its bytes. Raises BrokenError, struct.error."""
    at, name = len(PNG), b""
    while name != b"IEND":
        length, name = unpack_from(">I4s", body, at)
        end = at + 12 + length
        if end > len(body):
            raise BrokenError("A chunk ends too early.")
        yield name, body[at:end]
        at = end


def _png(body: bytes) -> Iterator[bytes]:
    yield PNG
    for name, chunk in png_parts(body):
        if name in PNG_PARTS:
            yield chunk


def _jpeg(body: bytes) -> Iterator[bytes]:
    yield JPEG
    at = 2
    while True:
        if body[at] != 0xFF:
            raise BrokenError("A segment has no marker.")
        marker = body[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if marker == EOI:
            yield body[at : at + 2]
            return
        (length,) = unpack_from(">H", body, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(body):
            raise BrokenError("A segment ends too early.")
        if _makes_the_picture(marker, body[at + 4 : end]):
            yield body[at:end]
        if marker == SOS:
            start, end = end, _end_of_scan(body, end)
            yield body[start:end]
        at = end


def _makes_the_picture(marker: int, content: bytes) -> bool:
    if marker == COM or APP0 <= marker <= APP15:
        colours = marker == APP2 and content.startswith(b"ICC_PROFILE\0")
        return colours or (marker in (APP0, APP14) and content.startswith((b"JFIF\0", b"Adobe")))
    return marker != SOI


def _end_of_scan(body: bytes, at: int) -> int:
    """Where the next marker stands: in a scan 0xFF is followed by 0, or counts restarts."""
    while (at := body.find(b"\xff", at)) >= 0:
        if body[at + 1] == 0 or body[at + 1] in RESTARTS:
            at += 2
        elif body[at + 1] == 0xFF:
            at += 1
        else:
            return at
    raise BrokenError("A scan does not end.")


def _webp(body: bytes) -> bytes:
    (size,) = unpack_from("<I", body, 4)
    end, at, kept = 8 + size, 12, bytearray()
    if end > len(body):
        raise BrokenError("It ends too early.")
    while at + 8 <= end:
        name, length = unpack_from("<4sI", body, at)
        after = at + 8 + length + length % 2
        if at + 8 + length > end:
            raise BrokenError("A chunk ends too early.")
        if name in WEBP_PARTS:
            chunk = bytearray(body[at:after])
            if name == b"VP8X" and length:
                chunk[8] &= ~TOLD & 0xFF
            kept += chunk
        at = after
    return RIFF + pack("<I", 4 + len(kept)) + WEBP + bytes(kept)
