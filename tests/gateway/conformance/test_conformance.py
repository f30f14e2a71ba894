"""The same scenarios on ComfyUI, on the sandbox and on our gateway: the same answers, but for what is meant."""

import asyncio

import pytest

from tests.comfyui.client import Client
from tests.gateway.conformance.comparing import Answers, differences, unexplained
from tests.gateway.conformance.scenarios import SCENARIOS
from tests.gateway.conformance.sequences import SEQUENCES

MEANT: dict[str, str] = {}
"""Where the gateway answers otherwise than ComfyUI, and why."""


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_gateway_answers_as_comfyui_does(faces: dict[str, Client], scenario: str) -> None:
    play = SCENARIOS[scenario]
    theirs, ours = await asyncio.gather(play(faces["engine"]), play(faces["gateway"]))
    assert unexplained(theirs, ours, MEANT) == []


@pytest.mark.parametrize("scenario", SEQUENCES)
async def test_a_client_of_the_gateway_hears_what_one_of_comfyui_hears(
    faces: dict[str, Client], scenario: str
) -> None:
    """One after the other: the engine works for both."""
    theirs = await SEQUENCES[scenario](faces["engine"])
    ours = await SEQUENCES[scenario](faces["gateway"])
    assert unexplained(theirs, ours, MEANT) == []


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
