"""Presets: saved, published, withdrawn, deleted."""

import pytest

from domain.preset import (
    PRESET,
    PresetCreated,
    PresetDeleted,
    PresetPublished,
    PresetSaved,
    PresetWithdrawn,
    create,
    delete,
    publish,
    save,
    usable,
    withdraw,
)
from domain.refusals import Conflict, NotFound
from tests.domain.facts import ANN, BOB, content
from tests.domain.scenario import Scenario

preset = Scenario(PRESET)
created, saved = PresetCreated(owner=ANN), PresetSaved(name="Milan", document=content("a"))
other = PresetSaved(name="Milan", template="qwen_single", document=content("b"))


def test_a_preset_is_what_was_saved_last() -> None:
    preset.given().when(create, owner=ANN).then(created)
    preset.given(created).when(save, by=ANN, saved=saved).then(saved)
    preset.given(created, saved).when(save, by=ANN, saved=saved).then_nothing()
    preset.given(created, saved).when(save, by=ANN, saved=other).then(other)
    preset.given(created).when(create, owner=ANN).then_refused(Conflict, "exists already")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_it_has_a_name_that_can_be_read(name: str) -> None:
    wrong = PresetSaved(name=name, document=content("a"))
    preset.given(created).when(save, by=ANN, saved=wrong).then_invalid("name")


def test_it_is_published_withdrawn_and_deleted_once() -> None:
    begun = (created, saved)
    preset.given(*begun).when(publish, by=ANN).then(PresetPublished()).and_again_nothing()
    preset.given(*begun, PresetPublished()).when(withdraw, by=ANN).then(PresetWithdrawn()).and_again_nothing()
    preset.given(*begun).when(delete, by=ANN).then(PresetDeleted()).and_again_nothing()
    preset.given(*begun, PresetDeleted()).when(save, by=ANN, saved=other).then_refused(NotFound)


def test_a_stranger_uses_what_is_public_and_changes_nothing() -> None:
    public = PRESET.fold(PRESET.initial, [created, saved, PresetPublished()])
    assert usable(public, by=BOB) == usable(public, by=ANN) == saved
    for events in ([created, saved], [created, saved, PresetPublished(), PresetDeleted()], []):
        with pytest.raises(NotFound):
            usable(PRESET.fold(PRESET.initial, events), by=BOB)
    for decision, more in ((save, {"saved": other}), (publish, {}), (withdraw, {}), (delete, {})):
        preset.given(created, saved, PresetPublished()).when(decision, by=BOB, **more).then_refused(NotFound)
