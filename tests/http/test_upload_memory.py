"""However large an upload is, the memory that it takes is the same."""

import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.person import Person
from tests.http.test_uploads import PIECE, begun
from tests.http.whole import Whole

SIZE = 400 * 2**20
GROWTH = 64 * 2**20  # the API and whoever sends are this process
CHUNK = bytes(256 * 1024)


def header(mark: str) -> bytes:
    described = {"a.lora_up.weight": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}
    body = json.dumps(described | {"__metadata__": {"mark": mark}}).encode()
    return struct.pack("<Q", len(body)) + body


async def file(mark: str) -> AsyncIterator[bytes]:
    yield header(mark)
    for _ in range(SIZE // len(CHUNK)):
        yield CHUNK


async def form(mark: str) -> AsyncIterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="large.safetensors"\r\n\r\n'
    async for chunk in file(mark):
        yield chunk
    yield b"\r\n--x--\r\n"


def peak() -> int:
    """The most memory since the last call, in bytes; and begin to measure anew."""
    told = Path("/proc/self/status").read_text()
    (line,) = [line for line in told.splitlines() if line.startswith("VmHWM:")]
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("way", ["in one go", "in pieces"])
async def test_an_upload_of_hundreds_of_megabytes_takes_no_more_memory(
    served: Whole, ann: Person, way: str
) -> None:
    total = len(header(way)) + SIZE
    at = await begun(ann, total) if way == "in pieces" else ""
    peak()
    before = peak()
    if way == "in pieces":
        headers = PIECE | {"Upload-Offset": "0", "Content-Length": str(total)}
        answer = await ann.http.patch(f"/api/v1{at}", headers=headers, content=file(way))
        assert answer.status_code == 204, answer.text
        lora = answer.headers["content-location"].rpartition("/")[2]
    else:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await ann.http.post("/api/v1/loras", headers=headers, content=form(way))
        assert answer.status_code == 201, answer.text
        lora = answer.json()["id"]
    assert peak() - before < GROWTH
    assert (await ann.get(f"/loras/{lora}"))["size_bytes"] == total
