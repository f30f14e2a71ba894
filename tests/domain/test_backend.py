"""A backend is seen, and may be lost from sight."""

from msgspec.structs import replace

from domain.backend import BACKEND, BackendLost, BackendSeen, lose, see
from tests.domain.scenario import Scenario

backend = Scenario(BACKEND)
seen = BackendSeen(name="gpu-1", executor="east", comfyui_version="0.9", device="RTX 4090")
lost = BackendLost(name="gpu-1", reason="It does not answer.")


def test_a_backend_is_seen_once() -> None:
    backend.given().when(see, sight=seen).then(seen).and_again_nothing()


def test_another_version_is_news() -> None:
    newer = replace(seen, comfyui_version="1.0")
    backend.given(seen).when(see, sight=newer).then(newer)


def test_a_backend_is_lost_once() -> None:
    backend.given(seen).when(lose, reason="It does not answer.").then(lost).and_again_nothing()


def test_what_was_never_seen_is_not_lost() -> None:
    backend.given().when(lose, reason="It does not answer.").then_nothing()


def test_a_lost_backend_is_seen_again() -> None:
    backend.given(seen, lost).when(see, sight=seen).then(seen)
