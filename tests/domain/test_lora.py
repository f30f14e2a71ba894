"""What may become of an account's LoRAs."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain.ids import Digest, LoraId, shelf_id
from domain.lora import (
    SHELF,
    LoraDeleted,
    LoraDescribed,
    LoraRenamed,
    LoraShared,
    LoraUnshared,
    LoraUploaded,
    Quota,
    Shelf,
    clear,
    delete,
    describe,
    file_name,
    graph_path,
    plain_file_name,
    read_path,
    rename,
    share,
    stored_path,
    upload,
    usable,
)
from domain.refusals import Conflict, Invalid, NotFound
from tests.domain.facts import ANN, BOB, content
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

shelf = Scenario(SHELF)
LIGHT, FOG = LoraId(UUID(int=1)), LoraId(UUID(int=2))
ROOM = Quota(count=3, size_bytes=1_000)


def uploaded(
    lora: LoraId = LIGHT, name: str = "Light", letter: str = "a", size_bytes: int = 400
) -> LoraUploaded:
    made = content(letter, size_bytes)
    return LoraUploaded(
        owner=ANN, lora=lora, name=name, file=file_name(f"{name}.safetensors", made.digest), content=made
    )


light, fog = uploaded(), uploaded(FOG, "Fog", "b")


def test_a_lora_is_put_on_the_shelf() -> None:
    shelf.when(upload, uploaded=light, quota=ROOM).then(light).and_again_nothing()


def test_the_same_bytes_are_kept_once() -> None:
    again = replace(light, lora=FOG, name="Another name")
    shelf.given(light).when(upload, uploaded=again, quota=ROOM).then_nothing()


@pytest.mark.parametrize("name", ["Light", "light", " LIGHT ", "light.safetensors", "Light.SFT"])
def test_two_loras_never_have_one_name(name: str) -> None:
    shelf.given(light).when(upload, uploaded=replace(fog, name=name), quota=ROOM).then_refused(Conflict)


def test_a_shelf_has_room_for_so_many() -> None:
    full = [uploaded(LoraId(UUID(int=n)), f"L{n}", letter, 1) for n, letter in enumerate("abc", 10)]
    shelf.given(*full).when(upload, uploaded=uploaded(letter="d"), quota=ROOM).then_refused(
        Conflict, "at most"
    )


def test_a_shelf_has_room_for_so_many_bytes() -> None:
    large = uploaded(FOG, "Fog", "b", 601)
    shelf.given(light).when(upload, uploaded=large, quota=ROOM).then_refused(Conflict, "600 are left")
    shelf.given(light).when(upload, uploaded=replace(large, content=content("b", 600)), quota=ROOM).then(
        replace(large, content=content("b", 600))
    )


@pytest.mark.parametrize(
    "name", ["", " ", "../x", "a/b", "a\\b", "nul\x00", "line\nbreak", ".hidden", "x" * 101]
)
def test_a_name_is_no_path_and_shows_all_it_is(name: str) -> None:
    shelf.when(upload, uploaded=replace(light, name=name), quota=ROOM).then_invalid("name")
    shelf.given(light).when(rename, by=ANN, lora=LIGHT, name=name).then_invalid("name")


@pytest.mark.parametrize(
    "name", ["", "..", "../a.safetensors", "a\x00.safetensors", "C:\\a.safetensors", "a.ckpt"]
)
def test_a_files_name_is_no_path_and_ends_as_safetensors_do(name: str) -> None:
    with pytest.raises(Invalid):
        plain_file_name(name)


def test_renaming_is_refused_where_the_name_is_taken() -> None:
    given = shelf.given(light, fog)
    given.when(rename, by=ANN, lora=LIGHT, name="fog").then_refused(Conflict)
    given.when(rename, by=ANN, lora=LIGHT, name="LIGHT").then(
        LoraRenamed(lora=LIGHT, name="LIGHT")
    ).and_again_nothing()


def test_describing() -> None:
    given = shelf.given(light)
    given.when(describe, by=ANN, lora=LIGHT, description="Soft.").then(
        LoraDescribed(lora=LIGHT, description="Soft.")
    ).and_again_nothing()
    given.when(describe, by=ANN, lora=LIGHT, description="\x00").then_invalid("description")


def test_sharing_says_with_whom_and_unsharing_with_nobody() -> None:
    shared = LoraShared(lora=LIGHT, accounts=(BOB,))
    shelf.given(light).when(share, by=ANN, lora=LIGHT, accounts=(BOB, ANN)).then(shared).and_again_nothing()
    shelf.given(light, shared).when(share, by=ANN, lora=LIGHT, public=True).then(
        LoraShared(lora=LIGHT, public=True, accounts=(BOB,))
    )
    shelf.given(light, shared).when(share, by=ANN, lora=LIGHT, accounts=()).then(
        LoraUnshared(lora=LIGHT)
    ).and_again_nothing()


def test_whom_it_is_shared_with_may_use_it_and_nobody_else() -> None:
    private = shelf.given(light).state
    for_bob = shelf.given(light, LoraShared(lora=LIGHT, accounts=(BOB,))).state
    for_all = shelf.given(light, LoraShared(lora=LIGHT, public=True)).state
    assert usable(private, by=ANN, lora=LIGHT).name == "Light"
    assert usable(for_bob, by=BOB, lora=LIGHT) == usable(for_bob, by=ANN, lora=LIGHT)
    assert usable(for_all, by=BOB, lora=LIGHT).public
    with pytest.raises(NotFound):
        usable(private, by=BOB, lora=LIGHT)


def test_deleting_twice_is_no_error_and_frees_the_name() -> None:
    gone = LoraDeleted(lora=LIGHT)
    shelf.given(light).when(delete, by=ANN, lora=LIGHT).then(gone).and_again_nothing()
    again = uploaded(FOG)
    shelf.given(light, gone).when(upload, uploaded=again, quota=ROOM).then(again)
    shelf.given(light, gone).when(upload, uploaded=light, quota=ROOM).then_nothing()  # told late, and twice


def test_a_stranger_is_told_nothing() -> None:
    given = shelf.given(light, LoraShared(lora=LIGHT, public=True))
    for decide, wish in (
        (rename, {"name": "Bob's"}),
        (describe, {"description": "Bob's"}),
        (share, {"public": False}),
        (delete, {}),
    ):
        given.when(decide, by=BOB, lora=LIGHT, **wish).then_refused(NotFound)
    given.when(delete, by=ANN, lora=FOG).then_refused(NotFound)


def test_of_an_erased_account_what_is_public_stays_unless_it_was_to_go() -> None:
    given = shelf.given(light, fog, LoraShared(lora=FOG, public=True))
    given.when(clear, with_published=False).then(LoraDeleted(lora=LIGHT)).and_again_nothing()
    given.when(clear, with_published=True).then(LoraDeleted(lora=LIGHT), LoraDeleted(lora=FOG))


def test_a_path_tells_whose_it_is_and_which_bytes() -> None:
    digest = Digest("ab" * 32)
    file = file_name("../Größe & Licht\x00.v2.safetensors", digest)
    assert file == f"Gr__e___Licht__v2-{digest}.safetensors"
    path = read_path(graph_path(ANN, file))
    assert path is not None
    assert (path.owner, path.file, path.digest) == (ANN, file, digest)
    assert stored_path(ANN, file) == f"user-{ANN}/loras/{file}"


@pytest.mark.parametrize(
    "path",
    [
        "light.safetensors",
        f"user-{ANN}/../{'a' * 64}.safetensors",
        f"user-{ANN}/light.safetensors",
        f"user-{ANN}/deep/light-{'a' * 64}.safetensors",
        f"user-{str(ANN).upper()}/light-{'a' * 64}.safetensors",
        f"user-{ANN}/light-{'a' * 64}.safetensors\n",
    ],
)
def test_nothing_else_is_such_a_path(path: str) -> None:
    assert read_path(path) is None


@given(some.text(max_size=300))
def test_whatever_a_file_was_called_its_name_is_harmless(name: str) -> None:
    file = file_name(name, Digest("0" * 64))
    assert read_path(graph_path(ANN, file)) is not None
    assert len(graph_path(ANN, file)) < 200


wishes = some.sampled_from(
    [
        (upload, {"uploaded": light, "quota": ROOM}),
        (upload, {"uploaded": fog, "quota": ROOM}),
        (upload, {"uploaded": uploaded(LoraId(UUID(int=3)), "Light", "c"), "quota": ROOM}),
        (rename, {"by": ANN, "lora": LIGHT, "name": "Fog"}),
        (rename, {"by": ANN, "lora": FOG, "name": "Light"}),
        (describe, {"by": ANN, "lora": FOG, "description": "Grey."}),
        (share, {"by": ANN, "lora": LIGHT, "public": True}),
        (share, {"by": ANN, "lora": LIGHT, "public": False, "accounts": ()}),
        (share, {"by": BOB, "lora": LIGHT, "accounts": (BOB,)}),
        (delete, {"by": ANN, "lora": LIGHT}),
        (delete, {"by": BOB, "lora": FOG}),
        (clear, {"with_published": False}),
    ]
)


@given(some.lists(wishes, max_size=40))
def test_a_shelf_keeps_its_promises(asked: list[tuple[Any, dict[str, Any]]]) -> None:
    state = Shelf()
    history: list[Any] = []
    for decide, wish in asked:
        state, events = decided(SHELF, state, decide, wish)
        history += events
        assert len({lora.name.casefold() for lora in state.loras}) == len(state.loras) <= ROOM.count
        assert len({lora.content.digest for lora in state.loras}) == len(state.loras)
        assert state.size_bytes <= ROOM.size_bytes
        if events:
            assert decided(SHELF, state, decide, wish)[1] == []
    assert SHELF.fold(SHELF.initial, history) == state


def test_a_shelf_is_found_by_its_owner() -> None:
    assert shelf_id(ANN) == shelf_id(ANN) != shelf_id(BOB)
