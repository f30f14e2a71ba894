"""Backends that come and go while an executor works: ordered, left, drained, flapping, dying."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from adapters.comfyui.backend import ComfyUIBackend
from adapters.comfyui.client import Address
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from domain.ids import Digest, RunId
from domain.outcome import FailureKind
from domain.run import OutputStored, RunAttemptLost, RunClaimed, RunRequeued, Status
from services.ports.backend import BackendUnavailableError
from services.ports.messages import BackendOrder, BackendState
from services.ports.trying import Trial
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, eventually, executor, picture, sleeping
from tests.proxy import proxy
from tests.sandbox.process import SandboxProcess
from workflows.web_files import read


def order(name: str, url: str, **more: object) -> BackendOrder:
    return BackendOrder(name=name, access=uuid4(), url=url, **more)  # type: ignore[arg-type]


def state(dispatch: MemoryDispatch, name: str) -> BackendState | None:
    """What the last beat told of it."""
    if not dispatch.beats:
        return None
    return next((each for each in dispatch.beats[-1].backends if each.name == name), None)


def live(dispatch: MemoryDispatch, name: str) -> bool:
    found = state(dispatch, name)
    return found is not None and found.sight is not None


def used(dispatch: MemoryDispatch, run: RunId) -> list[str]:
    return [event.backend for event in dispatch.events[run] if isinstance(event, RunClaimed)]


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


async def test_a_backend_is_taken_on_and_left_without_a_restart(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, []):
        waiting = dispatch.submit(picture())
        await dispatch.until(lambda: bool(dispatch.beats))
        assert dispatch.state(waiting).status is Status.QUEUED

        dispatch.orders = [order("late", comfyui.url)]
        await dispatch.ends(waiting)
        assert used(dispatch, waiting) == ["late"]
        assert state(dispatch, "late") == BackendState(
            name="late",
            sight=state(dispatch, "late").sight,
            access=dispatch.orders[0].access,  # type: ignore[union-attr]
        )

        dispatch.orders = []
        await dispatch.until(lambda: state(dispatch, "late") is None)
        left = dispatch.submit(picture())
        beats = len(dispatch.beats)
        await dispatch.until(lambda: len(dispatch.beats) > beats + 3)
        assert dispatch.state(left).status is Status.QUEUED


async def test_what_runs_on_a_backend_that_is_taken_away_goes_on_elsewhere(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders = [order("first", comfyui.url)]
    async with executor(dispatch, store, tmp_path, []):
        run = dispatch.submit(sleeping(5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        ahead = dispatch.submit(picture())
        await dispatch.until(lambda: dispatch.state(ahead).status is Status.CLAIMED)
        dispatch.orders = [order("second", mortal.url)]
        await dispatch.ends(ahead)
        await dispatch.ends(run)

        async def idle() -> bool:
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:
                return not any((await client.get(f"{comfyui.url}/queue")).json().values())

        await eventually(idle)  # nothing goes on where it was taken away

    assert used(dispatch, run) == ["first", "second"]
    lost = [event for event in dispatch.events[ahead] if isinstance(event, RunAttemptLost)]
    assert lost == []  # it had not begun: that is no lost attempt
    assert used(dispatch, ahead) == ["first", "second"]


async def test_a_backend_that_has_moved_finishes_first(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders = [order("moving", comfyui.url)]
    async with executor(dispatch, store, tmp_path, []):
        run = dispatch.submit(sleeping(1))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.orders = [moved := order("moving", mortal.url)]
        await dispatch.ends(run)
        await dispatch.until(
            lambda: (now := state(dispatch, "moving")) is not None and now.access == moved.access
        )
        after = dispatch.submit(picture())
        await dispatch.ends(after)

    assert len(used(dispatch, run)) == 1
    assert list((mortal.directory / "base" / "output" / "comfyplus").iterdir())


async def test_a_backend_that_has_died_is_driven_at_its_new_address(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders = [order("moving", mortal.url)]
    async with executor(dispatch, store, tmp_path, [], backend_patience_s=0.5):
        run = dispatch.submit(sleeping(1))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        await mortal.kill()
        dispatch.orders = [moved := order("moving", comfyui.url)]
        await dispatch.ends(run)
        assert (now := state(dispatch, "moving")) is not None
        assert now.access == moved.access


async def test_what_a_dead_backend_had_goes_on_elsewhere_when_it_is_taken_away(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders = [order("first", mortal.url)]
    async with executor(dispatch, store, tmp_path, [], backend_patience_s=1.0):
        run = dispatch.submit(sleeping(1))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        await mortal.kill()
        dispatch.orders = [order("second", comfyui.url)]
        await dispatch.ends(run)
    assert used(dispatch, run) == ["first", "second"]


async def test_a_run_moves_when_one_of_two_backends_dies(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders = [order("dying", mortal.url)]
    async with executor(dispatch, store, tmp_path, [], backend_patience_s=0.5):
        run = dispatch.submit(sleeping(3))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.orders = [*dispatch.orders, order("staying", comfyui.url)]
        await dispatch.until(lambda: live(dispatch, "staying"))
        await mortal.kill()
        await dispatch.ends(run)

    assert used(dispatch, run) == ["dying", "staying"]
    (lost,) = [event for event in dispatch.events[run] if isinstance(event, RunAttemptLost)]
    assert lost.failure.kind is FailureKind.TRANSPORT


@pytest.mark.soak  # whoever only holds the line is given up after half a minute
async def test_a_run_moves_when_its_backend_hangs_without_dying(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
) -> None:
    dispatch.orders, dispatch.timeout_s = [order("hanging", mortal.url)], 300
    async with executor(dispatch, store, tmp_path, [], backend_patience_s=0.5):
        run = dispatch.submit(sleeping(3))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.orders = [*dispatch.orders, order("staying", comfyui.url)]
        await dispatch.until(lambda: live(dispatch, "staying"))
        os.kill(mortal.pid, signal.SIGSTOP)
        try:
            await dispatch.until(lambda: dispatch.state(run).status is Status.SUCCEEDED, patience_s=120)
        finally:
            os.kill(mortal.pid, signal.SIGCONT)

        async def idle() -> bool:
            async with httpx.AsyncClient(verify=False, trust_env=False) as http:
                queue: dict[str, list[object]] = (await http.get(f"{mortal.url}/queue")).json()
                return not any(queue.values())

        await eventually(idle)
        after = dispatch.submit(picture())
        await dispatch.ends(after)

    assert used(dispatch, run) == ["hanging", "staying"]
    (lost,) = [event for event in dispatch.events[run] if isinstance(event, RunAttemptLost)]
    assert lost.failure.kind is FailureKind.TRANSPORT
    assert {event.epoch for event in dispatch.events[run] if isinstance(event, OutputStored)} == {2}


async def test_told_to_stop_it_hands_back_what_waits_and_finishes_what_runs(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], drain_s=20) as running:
        run = dispatch.submit(sleeping(1.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        ahead = dispatch.submit(picture())
        await dispatch.until(lambda: dispatch.state(ahead).status is Status.CLAIMED)
        never = dispatch.submit(picture())
        await running.quit()

    assert dispatch.state(run).status is Status.SUCCEEDED
    assert dispatch.state(ahead).status is Status.QUEUED
    assert dispatch.state(ahead).lost_attempts == 0
    (handed,) = [event for event in dispatch.events[ahead] if isinstance(event, RunRequeued)]
    assert handed.reason == "The executor was told to stop."
    assert used(dispatch, never) == []
    async with executor(dispatch, store, tmp_path / "other", [comfyui.url]):
        await dispatch.ends(ahead)
        await dispatch.ends(never)


async def test_a_backend_that_comes_and_goes_has_to_stay_well_for_a_while(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    quick = {"health_s": 0.05, "retry_s": 0.05, "flaps": 2, "flap_s": 1.0}
    async with executor(dispatch, store, tmp_path, [comfyui.url], **quick):
        for _ in range(2):
            await dispatch.until(lambda: live(dispatch, "backend-0"))
            await comfyui.misbehave(refuse_paths=["/system_stats"])
            await dispatch.until(lambda: not live(dispatch, "backend-0"))
            await comfyui.misbehave()
        await dispatch.until(
            lambda: "came and went 2 times" in (state(dispatch, "backend-0") or lost()).reason
        )
        run = dispatch.submit(picture())
        beats = len(dispatch.beats)
        await dispatch.until(lambda: len(dispatch.beats) >= beats + 3)
        assert dispatch.state(run).status is Status.QUEUED
        await dispatch.ends(run)  # in the end it is trusted again


def lost() -> BackendState:
    return BackendState(name="", sight=None)


async def test_credentials_are_sent_with_everything_and_told_to_nobody(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    host, port = address(comfyui.url)
    wanted = b"x-door: 0pen-sesame"
    async with proxy(host, port, wants=wanted) as door, proxy(host, port, wants=wanted) as other:
        dispatch.orders = [
            order("closed", other.url),
            order("open", door.url, header="x-door", value="0pen-sesame"),
        ]
        async with executor(dispatch, store, tmp_path, []):
            run = dispatch.submit(sleeping(0.4))
            await dispatch.ends(run)
            closed = state(dispatch, "closed")

    assert used(dispatch, run) == ["open"]
    assert any(step.run == run for step in dispatch.steps)  # the socket was let in, too
    assert closed is not None
    assert closed.reason == "The backend does not accept the credentials."
    assert "0pen-sesame" not in caplog.text + repr(dispatch.orders) + repr(dispatch.beats)


async def test_what_a_backend_has_is_told_once_until_it_is_something_else(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    loras = comfyui.directory / "base" / "models" / "loras"
    own = loras / f"user-{UUID(int=1)}"
    own.mkdir(parents=True, exist_ok=True)
    (own / "secret.safetensors").write_bytes(b"x")
    pack = comfyui.directory / "base" / "web" / "Pack"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "a.js").write_text('import("./b.css"); fetch("/extensions/Pack/c.json"); fetch("../../x.json");')
    for name, body in (("b.css", b"b" * 600_000), ("c.json", b"{}"), ("secret.json", b"{}")):
        (pack / name).write_bytes(body)
    async with executor(dispatch, store, tmp_path, [comfyui.url], inventory_s=0.1):
        await dispatch.until(lambda: "backend-0" in dispatch.stocks)
        first = dispatch.stocks.pop("backend-0")
        (loras / "new.safetensors").write_bytes(
            saying("modelspec.architecture", "stable-diffusion-xl-v1-base/lora")
        )
        await dispatch.until(lambda: "backend-0" in dispatch.stocks)
        second = dispatch.stocks["backend-0"]
    (loras / "new.safetensors").unlink()

    assert first.node_classes["SaveImage"] == "nodes"
    assert first.models["checkpoints"] == ("sandbox.safetensors",)
    assert second.models["loras"] == ("new.safetensors",)  # an account's own are nobody else's business
    assert second.base_models == {"loras/new.safetensors": "sdxl"}
    assert first.described
    assert second.described == first.described  # files are no part of what classes tell
    assert second.web_files == first.web_files
    web = dispatch.documents[first.web_files or Digest("")]
    told = {
        path: b"".join(dispatch.documents[each] for each in file.pieces) for path, file in read(web).items()
    }
    assert told == {each: (pack / each.partition("/")[2]).read_bytes() for each in told}
    assert set(told) == {"Pack/a.js", "Pack/b.css", "Pack/c.json"}
    assert first.version
    assert first.device == "sandbox"


async def test_an_address_is_tried_for_whoever_asks(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, []), nothing_there() as nothing:
        await dispatch.until(lambda: bool(dispatch.beats))
        for number, url in enumerate((comfyui.url, nothing.url, store.url)):
            dispatch.tries(Trial(id=UUID(int=number), url=url))
        await dispatch.until(lambda: len(dispatch.trials) == 3)

    found = {tried.id.int: tried for tried in dispatch.trials}
    assert found[0].sight is not None
    assert found[1].reason == "The backend does not accept the credentials."
    assert found[2].sight is None
    assert found[2].reason


def nothing_there():  # type: ignore[no-untyped-def]
    return proxy("127.0.0.1", 9, wants=b"nobody has this")


async def test_an_accounts_address_is_looked_at_when_it_is_dialled(comfyui: SharedSandbox) -> None:
    """A name may lead into our own network, whatever it was when it was given; the socket is no way round."""
    guard = Guard()
    url = comfyui.url.replace("127.0.0.1", "localhost")
    heard: list[object] = []
    async with KeptTransport(resolve=guard) as guarded:
        backend = ComfyUIBackend("own", Address(url), guarded, guard)
        with pytest.raises(BackendUnavailableError, match="private network"):
            await backend.sight()
        listening = asyncio.create_task(backend.listen(heard.append))
        async with asyncio.timeout(10):
            while len(heard) < 2:  # each time that it was refused, it is looked for anew
                await asyncio.sleep(0.01)
        assert not listening.done()
        listening.cancel()
    guard.close()


def saying(key: str, word: str) -> bytes:
    """A model file without tensors that says something of itself."""
    header = msgspec.json.encode({"__metadata__": {key: word}})
    return len(header).to_bytes(8, "little") + header
