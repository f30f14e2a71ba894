"""What a real ComfyUI has answered is kept beside this; the gateway answers so, and a real one still does.

With COMFYUI_URL the real one is asked as well; COMFYUI_RECORD=1 writes down what it says.
"""

import os
from pathlib import Path

import pytest
from msgspec import json

from tests.comfyui.client import Client
from tests.gateway.conformance.comparing import Answers, unexplained
from tests.gateway.conformance.records import RECORDED

FOLDER = Path(__file__).with_name("recorded")
MEANT = {
    r".*: \[?500\]? is not \[?400": "a body that cannot be read is the client's fault",
    r"21 GET /userdata .*: \[200, .*, \[\]\] is not \[404\]": "a file is no folder",
    r"28 GET /userdata/top .*: 403 is not 404": "nor is a folder a file",
    r"with dots\[1\]\.subfolder: 'c/x/\.\./deep' is not 'c/deep'": "a folder has one name",
    r"of no file\[": "it says that it has kept a mask of nothing",
}
"""Where the gateway answers otherwise than a real ComfyUI, by patterns of such lines, and why."""


@pytest.mark.parametrize("scenario", RECORDED)
async def test_a_client_is_answered_as_a_real_comfyui_has_answered(
    faces: dict[str, Client], scenario: str
) -> None:
    play, path = RECORDED[scenario], FOLDER / f"{scenario}.json"
    if "COMFYUI_URL" in os.environ:
        said = plainly(await play(faces["engine"]))
        if "COMFYUI_RECORD" in os.environ:
            path.write_bytes(json.format(json.encode(dict(said)), indent=1) + b"\n")
        assert unexplained(recorded(path), said, {}) == []
    assert unexplained(recorded(path), plainly(await play(faces["gateway"])), MEANT) == []


def recorded(path: Path) -> Answers:
    return list(json.decode(path.read_bytes()).items())


def plainly(answers: Answers) -> Answers:
    """As JSON has it."""
    return list(json.decode(json.encode(dict(answers))).items())
