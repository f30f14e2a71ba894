"""From an upload over HTTP to a picture: the backend finds the very bytes where the graph says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from adapters.comfyui.backend import ComfyUIBackend
from adapters.comfyui.client import Address
from adapters.imaging.thumbnails import PillowImaging
from adapters.models.folder import DiskModels
from adapters.nats.executor_link import NatsDispatchLink
from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.transport import KeptTransport
from adapters.spool.disk import DiskSpool
from infra.loras import tidying
from infra.wiring import nats
from services.execution.executor import Executor
from tests.execution.workshop import QUICK
from tests.http.errands import errand, eventually
from tests.http.executor import NAME, by_hand
from tests.http.person import Person, client, joined
from tests.http.problems import refused
from tests.http.test_loras import change
from tests.http.test_uploads import fresh, sent
from tests.http.whole import Whole, beside
from tests.sandbox.process import sandbox
from workflows.inventory import Inventory


def graph(lora: str, checkpoint: str = "sandbox.safetensors") -> dict[str, Any]:
    sampler = {
        "seed": 1,
        "steps": 2,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    links = {"model": ["2", 0], "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    strengths = {"strength_model": 1.0, "strength_clip": 1.0}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {
            "class_type": "LoraLoader",
            "inputs": {"model": ["1", 0], "clip": ["1", 1], "lora_name": lora} | strengths,
        },
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "cat", "clip": ["2", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "5": {"class_type": "KSampler", "inputs": sampler | links},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "lit"}},
    }


def without_lora(named: dict[str, Any]) -> dict[str, Any]:
    """The same graph with the checkpoint straight at the sampler."""
    rest = {id: node for id, node in named.items() if id != "2"}
    for id, input, slot in (("3", "clip", 1), ("5", "model", 0)):
        rest[id]["inputs"][input] = ["1", slot]
    return rest


HAS = Inventory(
    node_classes={node["class_type"]: "nodes" for node in graph("any").values()},
    models={"checkpoints": ("sandbox.safetensors",)},
    takes_loras=True,
)


@asynccontextmanager
async def executing(whole: Whole, url: str, folder: Path, models: Path, *more: str) -> AsyncIterator[None]:
    """`more`: addresses of other backends that it drives."""
    async with (
        nats(NAME, whole.nats.url_of(NAME), inbox_prefix=f"_INBOX_{NAME}") as connection,
        KeptTransport() as transport,
    ):
        with (
            closing(DiskSpool(folder / "spool")) as spool,
            closing(PillowImaging()) as imaging,
            closing(DiskModels(models)) as seen,
        ):
            link = NatsDispatchLink(connection, NAME)
            await link.listen()
            executor = Executor(
                name=NAME,
                backends=[
                    ComfyUIBackend(f"{NAME}{number or ''}", Address(each), transport)
                    for number, each in enumerate((url, *more))
                ],
                link=link,
                objects=HttpClaimObjects(whole.url, transport),
                imaging=imaging,
                spool=spool,
                settings=QUICK,
                folders={NAME: seen},
            )
            stop = asyncio.Event()
            work = asyncio.create_task(executor.run(stop))
            try:
                yield
            finally:
                stop.set()
                await work


async def uploaded(person: Person, file: bytes, name: str) -> dict[str, Any]:
    answer = await person.ask("POST", "/loras", **sent(file, name=f"{name}.safetensors"))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = await person.get(f"/loras/{answer.json()['id']}")
    return shown


async def ended(person: Person, run: str) -> Any:
    shown: Any = None

    async def over() -> bool:
        nonlocal shown
        shown = await person.get(f"/runs/{run}")
        return shown["status"] not in ("queued", "running")

    await eventually(over)
    return shown


async def test_an_uploaded_lora_is_in_the_picture(own: Whole, tmp_path: Path) -> None:
    file = fresh(extra=2_000_000)
    async with joined(own) as ann, joined(own) as bob, sandbox() as backend:
        models = backend.directory / "base" / "models"
        async with executing(own, backend.url, tmp_path / "gpu", models):
            shown = await uploaded(ann, file, "Soft light")
            run = (await ann.post("/runs", {"graph": graph("soft light")}))["id"]
            told = await ended(ann, run)
            assert told["status"] == "succeeded", told
            assert (models / "loras" / f"user-{ann.id}" / shown["file"]).read_bytes() == file
            assert len(told["outputs"]) == 1
            workflow = await ann.workflow(graph=graph("Soft light.safetensors"), public=True)
            assert (await ended(ann, await ann.run(workflow)))["status"] == "succeeded"
            # others name it by its path, once it is shared; before, they learn nothing
            problem = refused(await bob.ask("POST", "/runs", json={"graph": graph(shown["graph_name"])}), 422)
            assert problem["errors"][0]["field"] == "graph.2.inputs.lora_name"
            await change(ann, shown["id"], shared_with=[bob.name])
            run = (await bob.post("/runs", {"graph": graph(shown["graph_name"])}))["id"]
            assert (await ended(bob, run))["status"] == "succeeded"
            await ann.ask("DELETE", f"/loras/{shown['id']}")
            refused(await bob.ask("POST", "/runs", json={"graph": graph(shown["graph_name"])}), 422)


async def test_a_claim_opens_the_loras_of_its_run_and_no_others(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        hers, his = await uploaded(ann, fresh(), "hers"), await uploaded(bob, fresh(), "his")
        run = (await ann.post("/runs", {"graph": graph("hers")}))["id"]
        async with by_hand(own) as hand, client(own.url) as http:
            await hand.has(HAS)
            claimed = await hand.claim(run)
            headers = {"Authorization": f"Bearer {claimed.token}"}
            answer = await http.get(f"/api/v1/objects/{hers['sha256']}", headers=headers)
            assert (answer.status_code, len(answer.content)) == (200, hers["size_bytes"])
            assert answer.headers["content-length"] == str(hers["size_bytes"])
            refused(await http.get(f"/api/v1/objects/{his['sha256']}", headers=headers), 404)
            await hand.fail(claimed)


async def test_a_run_waits_for_a_backend_that_takes_loras_and_says_so(own: Whole) -> None:
    async with joined(own) as ann:
        await uploaded(ann, fresh(), "hers")
        run = (await ann.post("/runs", {"graph": graph("hers")}))["id"]
        async with by_hand(own) as hand:
            await hand.has(replace(HAS, takes_loras=False))
            plain = (await ann.post("/runs", {"graph": without_lora(graph("hers"))}))["id"]
            claimed = await hand.claim(plain)  # it came later, and yet first

            async def told() -> bool:
                said = (await ann.get(f"/runs/{run}")).get("waiting_for", "")
                return bool(said == f"{NAME}: It takes no uploaded LoRAs.")

            await eventually(told)
            refusal = refused(await ann.ask("POST", "/runs", json={"graph": graph("hers")}), 422)
            assert [each["field"] for each in refusal["errors"]] == ["graph.2.inputs.lora_name"]
            await hand.fail(claimed)
            await hand.has(HAS)
            await hand.fail(await hand.claim(run))


async def test_a_deleted_lora_stays_for_the_runs_that_were_submitted_before(own: Whole) -> None:
    async with joined(own) as ann:
        shown = await uploaded(ann, fresh(), "hers")
        kept = own.settings.data / "objects" / shown["sha256"][:2] / shown["sha256"]
        run = (await ann.post("/runs", {"graph": graph("hers")}))["id"]
        await ann.ask("DELETE", f"/loras/{shown['id']}")
        with beside(errand(lambda: tidying(replace(own.settings, lease_s=0.05, tidy_s=0.05)))):
            other = await uploaded(ann, fresh(), "another")
            await ann.ask("DELETE", f"/loras/{other['id']}")
            gone = own.settings.data / "objects" / other["sha256"][:2] / other["sha256"]
            await eventually(lambda: _is(not gone.exists()))  # so it was looked at both
            assert kept.exists()
            async with by_hand(own) as hand:
                await hand.has(HAS)
                await hand.fail(await hand.claim(run))
            await eventually(lambda: _is(not kept.exists()))


async def _is(so: bool) -> bool:
    return so
