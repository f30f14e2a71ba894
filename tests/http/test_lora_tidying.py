"""What is left behind by uploads and deleted LoRAs is collected; what somebody needs is not."""

import hashlib
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from infra.erasing import erasing
from infra.loras import tidying
from infra.settings import Settings
from tests.http.errands import errand, eventually
from tests.http.person import Person, joined
from tests.http.test_erasure import erased
from tests.http.test_loras import change
from tests.http.test_uploads import begun, fresh, piece, sent, traces
from tests.http.whole import Whole, beside


def hasty(whole: Whole) -> Settings:
    return replace(whole.settings, lease_s=0.05, tidy_s=0.05)


def kept(whole: Whole, file: bytes) -> Path:
    digest = hashlib.sha256(file).hexdigest()
    return whole.settings.data / "objects" / digest[:2] / digest


async def put(person: Person, file: bytes, name: str) -> str:
    answer = await person.ask("POST", "/loras", **sent(file, name=f"{name}.safetensors"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def change_row(whole: Whole, query: str) -> None:
    with psycopg.connect(whole.database.url) as connection:
        connection.execute(query.encode())


async def test_an_upload_that_nobody_goes_on_with_is_collected(own: Whole) -> None:
    async with joined(own) as ann:
        file = fresh()
        at = await begun(ann, len(file))
        await piece(ann, at, 0, file[:1000])
        assert len(traces(own, ann)) == 2
        change_row(own, "UPDATE work.uploads SET expires_at = now()")
        assert (await ann.ask("HEAD", at)).status_code == 404
        (own.settings.data / "uploads" / f"{'0' * 8}-0000-0000-0000-{'0' * 12}.part").write_bytes(b"lost")
        with beside(errand(lambda: tidying(hasty(own)))):
            await eventually(lambda: _is(not any((own.settings.data / "uploads").iterdir())))
        assert traces(own, ann) == []


async def test_an_upload_whose_receiver_died_at_its_end_is_finished(own: Whole) -> None:
    """As after kill -9 with the last byte written: the file is whole, and nobody has looked at it."""
    async with joined(own) as ann:
        good, bad = fresh(), fresh()
        for file, digest in ((good, hashlib.sha256(good).hexdigest()), (bad, "0" * 64)):
            at = await begun(ann, len(file), name=digest[:8], sha256=digest)
            await piece(ann, at, 0, file[:-10])
            with (own.settings.data / "uploads" / f"{at.rpartition('/')[2]}.part").open("ab") as part:
                part.write(file[-10:])
        with beside(errand(lambda: tidying(hasty(own)))):
            await eventually(lambda: _names(ann, [hashlib.sha256(good).hexdigest()[:8]]))
            await eventually(lambda: _is(not any((own.settings.data / "uploads").iterdir())))
        assert kept(own, good).is_file()
        assert not kept(own, bad).exists()


async def test_the_file_of_a_deleted_lora_goes_with_the_last_who_has_it(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        shared, hers = fresh(), fresh()
        ids = [await put(ann, shared, "shared"), await put(ann, hers, "hers")]
        his = await put(bob, shared, "his")
        for id in ids:
            await ann.ask("DELETE", f"/loras/{id}")
        with beside(errand(lambda: tidying(hasty(own)))):
            await eventually(lambda: _is(not kept(own, hers).exists()))
            await eventually(lambda: _is(not (own.settings.data / "objects" / f"user-{ann.id}").exists()))
            assert kept(own, shared).read_bytes() == shared
            await bob.ask("DELETE", f"/loras/{his}")
            await eventually(lambda: _is(not kept(own, shared).exists()))


@pytest.mark.parametrize("published", ["keep", "delete"])
async def test_an_erased_account_leaves_what_it_has_published_unless_that_was_to_go(
    own: Whole, published: str
) -> None:
    async with joined(own) as ann:
        private, public = fresh(), fresh()
        await put(ann, private, "private")
        await change(ann, await put(ann, public, "public"), public=True)
        await begun(ann, 1000, name="half")
        with (
            beside(errand(lambda: erasing(hasty(own)))),
            beside(errand(lambda: tidying(hasty(own)))),
        ):
            await erased(ann, published=published)
            await eventually(lambda: _is(not kept(own, private).exists()))
            await eventually(lambda: _is(kept(own, public).exists() == (published == "keep")))
            await eventually(lambda: _is(not any((own.settings.data / "uploads").iterdir())))


async def test_after_a_restore_the_files_have_their_names_again(own: Whole) -> None:
    async with joined(own) as ann:
        file = fresh()
        shown = await ann.get(f"/loras/{await put(ann, file, 'one')}")
        named = own.settings.data / "objects" / f"user-{ann.id}" / "loras" / shown["file"]
        named.unlink()
        with beside(errand(lambda: tidying(hasty(own)))):
            await eventually(lambda: _is(named.exists()))
        assert named.samefile(kept(own, file))


async def test_only_its_owner_fetches_the_file(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        file = fresh()
        lora = await put(ann, file, "one")
        await change(ann, lora, public=True)
        answer = await ann.ask("GET", f"/loras/{lora}/file")
        assert answer.content == file
        part = await ann.ask("GET", f"/loras/{lora}/file", headers={"Range": "bytes=8-15"})
        assert (part.status_code, part.content) == (206, file[8:16])
        assert (await bob.ask("GET", f"/loras/{lora}/file")).status_code == 404


async def _is(so: bool) -> bool:
    return so


async def _names(person: Person, names: list[str]) -> bool:
    return [item["name"] for item in (await person.get("/loras"))["items"]] == names
