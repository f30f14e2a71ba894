"""The names of things: what is passed around instead of the thing itself."""

from hashlib import sha1
from typing import NewType
from uuid import UUID

import msgspec

StreamId = UUID
AccountId = NewType("AccountId", UUID)
WorkflowId = NewType("WorkflowId", UUID)
RunId = NewType("RunId", UUID)
BatchId = NewType("BatchId", UUID)
InputId = NewType("InputId", UUID)
BackendId = NewType("BackendId", UUID)
SessionId = NewType("SessionId", UUID)
AttemptId = NewType("AttemptId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
LoraId = NewType("LoraId", UUID)
ModelId = NewType("ModelId", UUID)
CommentId = NewType("CommentId", UUID)
TemplateId = NewType("TemplateId", UUID)
PresetId = NewType("PresetId", UUID)
AnnouncementId = NewType("AnnouncementId", UUID)
OutputId = NewType("OutputId", UUID)

Actor = NewType("Actor", str)
"""Who did it: an account's id, or a part of the system such as `dispatch` or `executor:gpu-1`."""

Position = NewType("Position", int)
"""A place in the whole log: 1, 2, 3 ... without gaps."""

Digest = NewType("Digest", str)
"""SHA-256 of some bytes, 64 lower-case hexadecimal digits."""

_INPUTS = UUID("0b7a6b0e-6a0b-5c39-8f5c-0d6a1f5b3c77")

_BACKENDS = UUID("6f0d8a52-0f6c-5a57-9b0b-6b9a5a8c1c0e")

_QUEUE = UUID("0d5b1a0e-6a53-5c0f-8d2e-94b7f4a1c6d3")

_PROJECTIONS = UUID("2b1d7c1e-4b7c-5f0e-9a53-7d0f6c1f9a11")


_SHELVES = UUID("c0a4d9a2-7d0b-5e5f-8a1e-54d7f6a0b9e3")

_MODELS = UUID("5a8e1f64-93d2-5b7c-8e05-c2f6b1d7409a")

_LIKES = UUID("7d3b0c52-8a41-5e96-b7f2-1c9d64e0a835")

_PROFILES = UUID("a91e6c3d-05b7-5f42-8d19-7c2f4e8b60d5")

_FOLLOWS = UUID("3e8c5f17-d2a4-5b60-9c1e-6f0a7b48d9e2")

_OUTPUT_LIKES = UUID("d84b2f60-1e97-5c3a-a5d8-70c9e1f3b264")

_REPORTS = UUID("b1f6d3a8-5c27-5e49-8d0f-93a4e7c06b15")


def backend_id(name: str) -> BackendId:
    """A backend is known by its name, so that a restarted executor continues the same stream."""
    return BackendId(_named(_BACKENDS, name))


def input_id(account: AccountId, digest: Digest) -> InputId:
    """An account's input is known by its content: uploaded again it is the same one."""
    return InputId(_named(_INPUTS, f"{account} {digest}"))


def input_name_id(account: AccountId, type: str, subfolder: str, filename: str) -> StreamId:
    """The stream of which picture of an account has a name."""
    return _named(account, f"input name {type}/{subfolder}/{filename}")


def shelf_id(account: AccountId) -> StreamId:
    """The stream of an account's LoRAs: all of them in one, so that names and quotas are decided without a race."""
    return _named(_SHELVES, str(account))


def like_id(account: AccountId, workflow: WorkflowId) -> StreamId:
    """The stream of whether an account likes a workflow."""
    return _named(_LIKES, f"{account} {workflow}")


def follow_id(follower: AccountId, followed: AccountId) -> StreamId:
    """The stream of whether an account follows another one."""
    return _named(_FOLLOWS, f"{follower} {followed}")


def profile_id(account: AccountId) -> StreamId:
    """The stream of what an account shows of itself."""
    return _named(_PROFILES, str(account))


def output_id(run: RunId, node: str, index: int) -> OutputId:
    """A file of a run is known by the node that made it, and by its place among that node's files."""
    return OutputId(_named(run, f"output {index} {node}"))


def output_like_id(account: AccountId, output: OutputId) -> StreamId:
    """The stream of whether an account likes an output."""
    return _named(_OUTPUT_LIKES, f"{account} {output}")


def report_id(kind: str, subject: UUID) -> StreamId:
    """The stream of what is reported about a thing, and of what became of it."""
    return _named(_REPORTS, f"{kind} {subject}")


def notices_id(account: AccountId) -> StreamId:
    """The stream of what an account is notified of, and has read."""
    return _named(account, "notices")


def models_id() -> UUID:
    """The stream of what administrators say of models: there is one."""
    return _MODELS


def model_id(type: str, name: str) -> ModelId:
    """A model is known by the folder that it lies in and by its name there."""
    return ModelId(_named(_MODELS, f"{type}/{name}"))


def prompt_run(account: AccountId, prompt: str) -> RunId:
    """The run that an account's client of ComfyUI calls by this name."""
    return RunId(_named(account, f"prompt {prompt}"))


def attempt_id(run: RunId, epoch: int) -> AttemptId:
    """The n-th attempt of a run. Derived, so that everybody who knows run and epoch can name it."""
    return AttemptId(_named(run, f"attempt {epoch}"))


def projection_id(name: str) -> UUID:
    """The stream of what is decided about a read model."""
    return _named(_PROJECTIONS, name)


def queue_id() -> UUID:
    """The stream of what administrators decide about the queue: there is one."""
    return _QUEUE


def limits_id(account: AccountId) -> UUID:
    """The stream of the limits an account was given."""
    return _named(account, "limits")


def handling_id(account: AccountId) -> UUID:
    """The stream of how an account wants its outputs handled."""
    return _named(account, "handling")


def desk_id(account: AccountId) -> StreamId:
    """The stream of what an editor keeps of an account beside its workflows."""
    return _named(account, "desk")


def account_actor(account: AccountId) -> Actor:
    return Actor(str(account))


def _named(space: UUID, name: str) -> UUID:
    """What `uuid.uuid5` gives, in a third of the time: a rebuild of a read model names each output."""
    octets = bytearray(sha1(space.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return msgspec.convert(bytes(octets), UUID)
