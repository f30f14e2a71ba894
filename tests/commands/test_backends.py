"""What is asked of backends: by administrators, and by accounts of their own."""

from uuid import uuid4

import pytest

from commands.backend_access import Access
from commands.backends import (
    ChangeBackend,
    RegisterBackend,
    RemoveBackend,
    RemoveOwnBackend,
    SetOwnBackend,
)
from commands.credentials import Basic, Bearer, Header, accessed
from domain.backend import BACKEND, Backend, Kind, own_name
from domain.ids import AccountId, backend_id
from domain.refusals import Conflict, Invalid, NotFound
from tests.commands.ground import Ground

URL = "https://gpu.example.org"
ANN = AccountId(uuid4())
SECRET = "s3cret-t0ken"


async def state(ground: Ground, name: str) -> Backend:
    return (await ground.dispatcher.needs.streams.load(BACKEND, backend_id(name)))[0]


async def access(ground: Ground, name: str) -> Access:
    id = (await state(ground, name)).access
    assert id is not None
    return (await ground.backend_access.opened([id]))[id]


async def test_credentials_are_kept_beside_the_log_and_never_in_it(ground: Ground) -> None:
    wish = RegisterBackend(name="gpu-1", url=URL, credentials=Bearer(token=SECRET))
    await ground.wish(wish)

    assert await access(ground, "gpu-1") == Access(URL, "authorization", f"Bearer {SECRET}")
    assert SECRET not in repr(await ground.happened()) + repr(await access(ground, "gpu-1"))
    assert URL not in repr(await ground.happened())


async def test_a_name_that_is_taken_leaves_nothing_behind(ground: Ground) -> None:
    await ground.wish(RegisterBackend(name="gpu-1", url=URL))
    with pytest.raises(Conflict):
        await ground.wish(RegisterBackend(name="gpu-1", url="https://other.example.org"))
    assert len(ground.backend_access.kept) == 1


async def test_another_address_keeps_the_credentials_unless_it_is_said(ground: Ground) -> None:
    await ground.wish(RegisterBackend(name="gpu-1", url=URL, credentials=Basic("ann", "pass:word")))
    before = await state(ground, "gpu-1")
    await ground.wish(ChangeBackend(name="gpu-1", url="https://b.example.org/comfy/"))
    moved = await access(ground, "gpu-1")
    assert (moved.url, moved.header) == ("https://b.example.org/comfy", "authorization")
    assert (await state(ground, "gpu-1")).access != before.access

    await ground.wish(ChangeBackend(name="gpu-1", open=True))
    assert await access(ground, "gpu-1") == Access("https://b.example.org/comfy")
    opened = await state(ground, "gpu-1")
    await ground.wish(ChangeBackend(name="gpu-1", open=True))
    assert await state(ground, "gpu-1") == opened


async def test_what_is_removed_is_forgotten(ground: Ground) -> None:
    await ground.wish(RegisterBackend(name="gpu-1", url=URL))
    await ground.wish(RemoveBackend(name="gpu-1", reason="Sold."))
    assert ground.backend_access.kept == {}
    with pytest.raises(NotFound):
        await ground.wish(ChangeBackend(name="gpu-1", slots=2))


async def test_an_account_has_one_backend_of_its_own(ground: Ground) -> None:
    await ground.wish(SetOwnBackend(by=ANN, url=URL))
    await ground.wish(SetOwnBackend(by=ANN, url="https://home.example.org"))
    own = await state(ground, own_name(ANN))
    assert (own.owner, (await access(ground, own_name(ANN))).url) == (ANN, "https://home.example.org")
    await ground.wish(SetOwnBackend(by=ANN, url="https://home.example.org"))
    assert await state(ground, own_name(ANN)) == own

    await ground.wish(RemoveOwnBackend(by=ANN))
    assert not (await state(ground, own_name(ANN))).known
    with pytest.raises(NotFound):
        await ground.wish(RemoveOwnBackend(by=AccountId(uuid4())))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1:8188",
            "http://localhost",
            "http://10.0.0.7",
            "http://[::1]",
            "http://2130706433",
        ),
        *("ftp://a.example.org", "http://u:p@a.example.org", "https://a.example.org/?x=1", "no url"),
    ],
)
async def test_an_account_leads_nobody_into_our_own_network(ground: Ground, url: str) -> None:
    with pytest.raises(Invalid):
        await ground.wish(SetOwnBackend(by=ANN, url=url))
    assert ground.backend_access.kept == {}


@pytest.mark.parametrize(
    "credentials",
    [
        Basic("a:b", "c"),
        Basic("a", ""),
        Bearer("a\r\nx-evil: 1"),
        Bearer("ü"),
        Header("host", "a"),
        Header("Content-Length", "0"),
        Header("sec-websocket-key", "a"),
        Header("x y", "a"),
        Header("x-key", "a\nb"),
        Header("x-key", "a" * 5_000),
    ],
)
def test_what_would_break_a_request_is_no_credential(credentials: Basic | Bearer | Header) -> None:
    with pytest.raises(Invalid):
        accessed(URL, credentials, private=True)


async def test_an_endpoint_of_a_provider_is_reached_by_its_id_and_key(ground: Ground) -> None:
    wish = {"name": "cloud", "kind": Kind.RUNPOD, "endpoint": "abc123", "credentials": Bearer(SECRET)}
    await ground.wish(RegisterBackend(**wish))  # type: ignore[arg-type]  # as said above
    base, key = "https://api.runpod.ai/v2", ("authorization", f"Bearer {SECRET}")
    assert await access(ground, "cloud") == Access(f"{base}/abc123", *key)
    assert (await state(ground, "cloud")).kind is Kind.RUNPOD
    assert SECRET not in repr(await ground.happened())

    await ground.wish(ChangeBackend(name="cloud", endpoint="xyz"))
    assert await access(ground, "cloud") == Access(f"{base}/xyz", *key)
    await ground.wish(ChangeBackend(name="cloud", url="https://proxy.example.org/v2/"))
    assert await access(ground, "cloud") == Access("https://proxy.example.org/v2/xyz", *key)
    await ground.wish(ChangeBackend(name="cloud", credentials=Bearer("other")))
    moved = Access("https://proxy.example.org/v2/xyz", "authorization", "Bearer other")
    assert await access(ground, "cloud") == moved
    for wrong in ({"open": True}, {"credentials": Basic("a", "b")}, {"endpoint": "../x"}):
        with pytest.raises(Invalid):
            await ground.wish(ChangeBackend(name="cloud", **wrong))  # type: ignore[arg-type]  # as said above
    assert await access(ground, "cloud") == moved


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "a/b"}, "endpoint"),
        ({"credentials": None}, "credentials"),
        ({"credentials": Basic("a", "b")}, "credentials"),
        ({"credentials": Bearer("a b\n")}, "credentials.token"),
        ({"url": "ftp://x"}, "url"),
        ({"kind": Kind.COMFYUI, "url": URL}, "endpoint"),
        ({"kind": Kind.COMFYUI, "endpoint": ""}, "url"),
    ],
)
async def test_what_a_kind_of_backend_cannot_be_reached_by_is_refused(
    ground: Ground, wrong: dict[str, object], field: str
) -> None:
    good = {"name": "cloud", "kind": Kind.RUNPOD, "endpoint": "abc123", "credentials": Bearer(SECRET)}
    with pytest.raises(Invalid) as refusal:
        await ground.wish(RegisterBackend(**good | wrong))  # type: ignore[arg-type]  # as said above
    assert [each.field for each in refusal.value.errors] == [field]
    assert ground.backend_access.kept == {}
