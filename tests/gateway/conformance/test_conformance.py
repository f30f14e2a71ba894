"""The same scenarios on ComfyUI, on the sandbox and on our gateway: the same answers, but for what is meant."""

from collections.abc import Awaitable, Callable

import pytest

from tests.comfyui.client import Client
from tests.gateway.conformance.comparing import Answers, differences, unexplained
from tests.gateway.conformance.scenarios import SCENARIOS
from tests.gateway.conformance.sequences import SEQUENCES

MEANT: dict[str, dict[str, str]] = {
    "sandbox": {
        r".*\.(tooltip|description|output_tooltips): ": "it has texts of its own",
        r"KSampler\.body\.KSampler\.input\.required\.\w+: ": "it has no texts at them, and fewer samplers",
        r"unknown checkpoint\..*\.(details|input_config\[0\]): ": "it has a checkpoint",
    }
}
"""Where a face answers otherwise than a real ComfyUI, by patterns of such lines, and why."""


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_client_is_answered_the_same_everywhere(faces: dict[str, Client], scenario: str) -> None:
    assert await deviations(faces, SCENARIOS[scenario]) == {}


@pytest.mark.parametrize("scenario", SEQUENCES)
async def test_a_client_hears_the_same_everywhere(faces: dict[str, Client], scenario: str) -> None:
    assert await deviations(faces, SEQUENCES[scenario]) == {}


async def deviations(
    faces: dict[str, Client], play: Callable[[Client], Awaitable[Answers]]
) -> dict[str, list[str]]:
    """From what stands behind the gateway. One after the other: it works for all of them."""
    engine = faces["engine"]
    theirs = await play(engine)
    others = {name: face for name, face in faces.items() if face.url != engine.url}
    found = {
        name: unexplained(theirs, await play(face), MEANT.get(name, {})) for name, face in others.items()
    }
    return {name: lines for name, lines in found.items() if lines}


def test_a_difference_is_found_wherever_it_is() -> None:
    first: Answers = [("a", {"b": [1, {"c": True}], "d": None})]
    second: Answers = [("a", {"b": [1, {"c": 1}], "e": 2})]
    found = list(differences(dict(first), dict(second)))
    assert found == [
        "a.b[1].c: True is not 1",
        "a.d: None is not 'nothing'",
        "a.e: 'nothing' is not 2",
    ]
    assert unexplained(first, second, {r"a\.b": "it is meant"}) == found[1:]
