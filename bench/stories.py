"""Runs as they stand in the log, as large as real ones: what the measurements write."""

from uuid import UUID, uuid4

from commands.ports import Entry, RequestKey, Write
from domain.event import Event
from domain.ids import AccountId, Actor, Digest, RunId, WorkflowId, account_actor
from domain.outcome import Image, Output
from domain.run import OutputStored, RunClaimed, RunStarted, RunSubmitted, RunSucceeded
from domain.workflow import Content, Requirements

OWNERS = tuple(AccountId(UUID(int=1 << 96 | number)) for number in range(1_000))
WORKFLOW = WorkflowId(UUID(int=2 << 96))
GRAPH = Content(Digest("5f" * 32), 1_432)
NEEDED = Requirements(
    ("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "SaveImage", "VAEDecode"),
    ("checkpoints/sd_xl_base_1.0.safetensors",),
)


def submitted(owner: AccountId, needed: Requirements = NEEDED, priority: int = 5) -> RunSubmitted:
    return RunSubmitted(
        owner=owner,
        workflow=WORKFLOW,
        workflow_version=3,
        graph=GRAPH,
        requirements=needed,
        priority=priority,
    )


def output() -> Output:
    digest = Digest(uuid4().hex + uuid4().hex)
    thumbnails = tuple(
        Image(Digest(uuid4().hex + uuid4().hex), 9_000, "image/webp", edge, edge) for edge in (256, 768)
    )
    return Output("9", 0, "ComfyUI_00001_.png", digest, 1_311_222, "image/png", 1024, 1024, thumbnails)


def run(owner: AccountId) -> tuple[Event, ...]:
    """A run from its submission to its end."""
    return (
        submitted(owner),
        RunClaimed(epoch=1, backend="gpu-1", executor="site-1"),
        RunStarted(epoch=1, backend="gpu-1"),
        OutputStored(epoch=1, output=output()),
        RunSucceeded(epoch=1, execution_s=2.5, outputs=1),
    )


def entry(stream: UUID, expected: int, event: Event, owner: AccountId, *, keyed: bool = False) -> Entry:
    """One command with its full envelope."""
    actor = account_actor(owner)
    key = RequestKey(actor, uuid4().hex, stream.bytes * 2) if keyed else None
    return Entry(
        writes=(Write(stream, expected, (event,), owner),), actor=actor, correlation=RunId(stream), key=key
    )


def actor(event: Event, owner: AccountId) -> Actor:
    """Who would have written it."""
    return account_actor(owner) if isinstance(event, RunSubmitted) else Actor("executor:site-1")
