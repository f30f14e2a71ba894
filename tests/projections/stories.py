"""Small histories that tests tell."""

from typing import Any
from uuid import UUID, uuid4, uuid5

from msgspec.structs import replace

from domain.account import AccountRegistered
from domain.backend import BackendSeen
from domain.batch import BatchCancelled, BatchSubmitted
from domain.collection import (
    CollectionBegun,
    CollectionChanged,
    CollectionDeleted,
    CollectionOrdered,
    Member,
    MemberAdded,
    MemberRemoved,
)
from domain.collection import Kind as Listed
from domain.comment import CommentDeleted, CommentEdited, CommentHidden, CommentPosted, CommentShownAgain
from domain.event import Event
from domain.follow import FollowBegun, FollowEnded
from domain.handling import RenditionChosen, Retention, RetentionChosen
from domain.ids import (
    AccountId,
    BatchId,
    CommentId,
    Digest,
    LoraId,
    Position,
    RunId,
    WorkflowId,
    backend_id,
    follow_id,
    handling_id,
    input_id,
    like_id,
    notices_id,
    output_id,
    output_like_id,
    profile_id,
    report_id,
    shelf_id,
)
from domain.input import InputDeleted, InputStored
from domain.input_name import InputNamed
from domain.like import LikeGiven, LikeTakenBack
from domain.lora import (
    LoraDeleted,
    LoraDescribed,
    LoraRenamed,
    LoraShared,
    LoraSummary,
    LoraUploaded,
    file_name,
)
from domain.notice import Kind as Heard
from domain.notice import NoticeGiven, NoticeMailSet, NoticeRead, NoticesRead
from domain.outcome import Failure, FailureKind, Image, Output
from domain.output_like import OutputLiked
from domain.personal import Personal
from domain.place import OutputPlace
from domain.preset import PresetCreated, PresetDeleted, PresetPublished, PresetSaved
from domain.profile import AvatarChanged, ProfileChanged
from domain.rendition import Format, Rendition
from domain.report import HidingUndone, Kind, Reason, ReportMade, ReportsUpheld
from domain.run import (
    InBatch,
    OutputDeleted,
    OutputStarred,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from domain.share import Kind as Shared
from domain.share import ShareMade, ShareRevoked
from domain.shared_output import OutputHidden, OutputMarked, OutputPublished, OutputWithdrawn
from domain.source import ParametersSource
from domain.template import (
    FormSummary,
    TemplateCreated,
    TemplateDeleted,
    TemplatePublished,
    TemplateVersionSaved,
)
from domain.workflow import (
    Content,
    Requirements,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowForked,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowRenamed,
    WorkflowThumbnailSet,
    WorkflowTrashed,
    WorkflowVersionSaved,
)

ANN, BOB = AccountId(UUID(int=0xA)), AccountId(UUID(int=0xB))
GRAPH = Content(Digest("ab" * 32), 321)

SEALED = "sealed "
"""What a personal text begins with until it is opened."""

Told = tuple[UUID, AccountId | None, Event]


def joined(account: AccountId, username: str) -> Told:
    return account, account, AccountRegistered(account=account, username=Personal(SEALED + username))


def workflow(owner: AccountId, name: str, *, public: bool = False) -> list[Told]:
    id = uuid4()
    saved = WorkflowVersionSaved(number=1, graph=GRAPH, requirements=Requirements(("KSampler",), ()))
    told: list[Told] = [
        (id, owner, WorkflowCreated(owner=owner, name=name, tags=("a", 'quo"ted'))),
        (id, owner, saved),
        (id, owner, WorkflowRenamed(name=f"{name} é \\ 2")),
    ]
    return [*told, (id, owner, WorkflowPublished())] if public else told


def forks(source: UUID) -> list[Told]:
    """One with a picture, which was thrown away and taken back; a fork of that in the trash, and one that is gone."""
    first, second, third = WorkflowId(uuid4()), WorkflowId(uuid4()), WorkflowId(uuid4())
    told: list[Told] = []
    for id, origin in ((first, WorkflowId(source)), (second, first), (third, second)):
        told += [
            (id, BOB, WorkflowCreated(owner=BOB, name="a fork")),
            (id, BOB, WorkflowForked(source=origin, number=1)),
            (id, BOB, WorkflowVersionSaved(number=1, graph=GRAPH)),
        ]
    return [
        *told,
        (first, BOB, WorkflowThumbnailSet(thumbnails=output().thumbnails)),
        (first, BOB, WorkflowTrashed()),
        (first, BOB, WorkflowRecovered()),
        (second, BOB, WorkflowTrashed()),
        (third, BOB, WorkflowDeleted()),
    ]


def output(node: str = "9", index: int = 0) -> Output:
    small = Image(Digest("cd" * 32), 99, "image/webp", 64, 64)
    return Output(node, index, "a.png", Digest("ef" * 32), 1234, "image/png", 512, 512, (small,))


def submitted(owner: AccountId, workflow: UUID | None = None) -> RunSubmitted:
    return RunSubmitted(
        owner=owner, workflow=WorkflowId(workflow or uuid4()), workflow_version=1, graph=GRAPH
    )


def run(owner: AccountId) -> list[Told]:
    id = uuid4()
    failure = Failure(FailureKind.LOST, "The machine went away.")
    events: list[Event] = [
        submitted(owner),
        RunClaimed(epoch=1, backend="gpu-1", executor="one"),
        RunStarted(epoch=1, backend="gpu-1"),
        OutputStored(epoch=1, output=output()),
        RunAttemptLost(epoch=1, failure=failure),
        RunClaimed(epoch=2, backend="gpu-1", executor="one"),
        RunStarted(epoch=2, backend="gpu-1"),
        OutputStored(epoch=2, output=output("9", 1)),
        RunSucceeded(epoch=2, execution_s=1.5, outputs=1),
    ]
    return [(id, owner, event) for event in events]


def chosen_from(owner: AccountId) -> list[Told]:
    """A run of whose outputs one is starred, and one deleted."""
    id = uuid4()
    events: list[Event] = [
        submitted(owner),
        RunStarted(epoch=1, backend="gpu-1"),
        OutputStored(epoch=1, output=output("9", 0)),
        OutputStored(epoch=1, output=output("9", 1)),
        RunSucceeded(epoch=1, execution_s=1.5, outputs=2),
        OutputStarred(node="9", index=0),
        OutputDeleted(node="9", index=1, size_bytes=1234),
    ]
    return [(id, owner, event) for event in events]


def batch(owner: AccountId) -> list[Told]:
    """Two runs, one of them cancelled, the other deleted."""
    id, first, second = uuid4(), RunId(uuid4()), RunId(uuid4())
    source = ParametersSource(GRAPH)
    told: list[Told] = [(id, owner, BatchSubmitted(owner=owner, runs=(first, second), plan=GRAPH))]
    for place, run_id in enumerate((first, second)):
        within = InBatch(BatchId(id), place)
        event = RunSubmitted(
            owner=owner, graph=GRAPH, source=source, seed=2**64 - 1, batch=within, words='A "fox" \\ ü'
        )
        told += [(run_id, owner, event), (run_id, owner, RunCancelled(by=owner))]
    return [*told, (second, owner, RunDeleted()), (id, owner, BatchCancelled(by=owner))]


def inputs(owner: AccountId) -> list[Told]:
    """Two pictures, one of them deleted."""
    told: list[Told] = []
    for digest in (Digest("12" * 32), Digest("34" * 32)):
        stored = InputStored(
            owner=owner, digest=digest, name="a.png", media_type="image/png", size_bytes=9, width=3, height=4
        )
        told.append((input_id(owner, digest), owner, stored))
    named = InputNamed(owner=owner, type="input", subfolder="", filename="a.png", digest=Digest("34" * 32))
    return [*told, (told[0][0], owner, InputDeleted(digest=Digest("12" * 32))), (uuid4(), owner, named)]


def templates(owner: AccountId) -> list[Told]:
    """One that everybody may use, one of its owner's, and one that is gone."""
    shown, kept, gone = uuid4(), uuid4(), uuid4()
    about = FormSummary(
        name='A "portrait"', description="Größe \\ 2", category="generation", model_family="sdxl"
    )
    told: list[Told] = []
    for id in (shown, kept, gone):
        saved = TemplateVersionSaved(
            number=1, document=GRAPH, about=about, workflow=WorkflowId(uuid4()), workflow_version=1
        )
        told += [(id, owner, TemplateCreated(owner=owner)), (id, owner, saved)]
    return [*told, (shown, owner, TemplatePublished()), (gone, owner, TemplateDeleted())]


def presets(owner: AccountId) -> list[Told]:
    """One that everybody may use, one of its owner's, and one that is gone."""
    shown, kept, gone = uuid4(), uuid4(), uuid4()
    told: list[Told] = []
    for id in (shown, kept, gone):
        saved = PresetSaved(name='A "character"', description="Größe \\ 2", document=GRAPH)
        told += [(id, owner, PresetCreated(owner=owner)), (id, owner, saved)]
    return [*told, (shown, owner, PresetPublished()), (gone, owner, PresetDeleted())]


def loras(owner: AccountId) -> list[Told]:
    """One that stays, shared with somebody, and one that goes."""
    shelf, kept, gone = shelf_id(owner), LoraId(uuid4()), LoraId(uuid4())
    events: list[Event] = [
        _uploaded(owner, kept, "light"),
        _uploaded(owner, gone, "fog"),
        LoraRenamed(lora=kept, name='soft "light"'),
        LoraDescribed(lora=kept, description="Größe \\ 2"),
        LoraShared(lora=kept, public=False, accounts=(BOB,)),
        LoraDeleted(lora=gone),
    ]
    return [(shelf, owner, event) for event in events]


def _uploaded(owner: AccountId, lora: LoraId, name: str) -> LoraUploaded:
    digest = Digest(lora.hex * 2)
    return LoraUploaded(
        owner=owner,
        lora=lora,
        name=name,
        file=file_name(f"{name}.safetensors", digest),
        content=Content(digest, 1234),
        summary=LoraSummary("sdxl", ("soft", 'quo"ted'), 16, "F16", 12),
    )


def likes(workflow: UUID) -> list[Told]:
    """Of one person who stays with it, and one who does not."""
    liked, told = WorkflowId(workflow), list[Told]()
    for account in (ANN, BOB):
        told.append((like_id(account, liked), account, LikeGiven(account=account, workflow=liked)))
    return [*told, (like_id(ANN, liked), ANN, LikeTakenBack(account=ANN, workflow=liked))]


def comments(workflow: UUID) -> list[Told]:
    """One with an answer that was deleted, one that is hidden, and one that was."""
    place, first, answer, rude = WorkflowId(workflow), *[CommentId(uuid4()) for _ in range(3)]
    said = CommentPosted(owner=BOB, workflow=place, text="Schön, @ann!", mentions=(ANN,))
    return [
        (first, BOB, said),
        (answer, ANN, CommentPosted(owner=ANN, workflow=place, text="Thanks.", parent=first)),
        (first, BOB, CommentEdited(text='Sehr "schön" \\ 2')),
        (answer, ANN, CommentDeleted(workflow=place, by=ANN)),
        (rude, BOB, CommentPosted(owner=BOB, workflow=place, text="Bah!", mentions=(ANN,))),
        (rude, BOB, CommentHidden(workflow=place, by=ANN, reason="Rude.")),
        (first, BOB, CommentHidden(workflow=place, by=ANN, reason="Rude as well.")),
        (first, BOB, CommentShownAgain(workflow=place, by=ANN, reason="It is not.")),
    ]


def follows() -> list[Told]:
    """One who goes on, and one who does not."""
    told: list[Told] = []
    for follower, followed in ((ANN, BOB), (BOB, ANN)):
        event = FollowBegun(follower=follower, followed=followed)
        told.append((follow_id(follower, followed), follower, event))
    return [*told, (follow_id(BOB, ANN), BOB, FollowEnded(follower=BOB, followed=ANN))]


def profiles() -> list[Told]:
    """One who says something and shows a picture."""

    def said(text: str) -> Personal:
        return Personal(SEALED + text)

    first = ProfileChanged(
        account=ANN,
        display_name=said("Ann"),
        bio=said("Foxes.\n"),
        links=said("https://a.example\nhttps://b.example"),
    )
    return [
        (profile_id(ANN), ANN, first),
        (profile_id(ANN), ANN, AvatarChanged(account=ANN, avatar=UUID(int=77))),
        (profile_id(ANN), ANN, ProfileChanged(account=ANN, bio=said(""))),
        (profile_id(BOB), BOB, AvatarChanged(account=BOB, avatar=UUID(int=78))),
        (profile_id(BOB), BOB, AvatarChanged(account=BOB, avatar=None)),
    ]


def handling() -> list[Told]:
    """Of one who wants all others to get less than what was made, and has old outputs go."""
    less = Rendition(format=Format.WEBP, metadata=False)
    kept = Retention(days=30, keep_starred=True)
    chosen = (
        RenditionChosen(account=ANN, rendition=less),
        RetentionChosen(account=ANN, retention=kept),
    )
    return [(handling_id(ANN), ANN, event) for event in chosen]


def reports(workflow: UUID) -> list[Told]:
    """Reported, hidden and shown again."""
    place = WorkflowId(workflow)
    about: dict[str, Any] = {"kind": Kind.WORKFLOW, "subject": place, "owner": ANN, "by": BOB, "said": "Ä"}
    case = report_id(Kind.WORKFLOW, place)
    return [
        (case, None, ReportMade(**about, reason=Reason.SPAM, text="Look!")),
        (case, None, ReportsUpheld(**about, reason="Spam.")),
        (case, None, HidingUndone(by=BOB, reason="It is none.")),
    ]


def notices(workflow: UUID) -> list[Told]:
    """Likes that are gathered, and a follower; one of them read."""
    stream, place = notices_id(ANN), WorkflowId(workflow)
    liked = [
        NoticeGiven(account=ANN, kind=Heard.LIKED, cause=Position(cause), workflow=place) for cause in (1, 2)
    ]
    followed = NoticeGiven(account=ANN, kind=Heard.FOLLOWED, cause=Position(3), by=BOB)
    read = NoticeRead(account=ANN, notice=uuid5(stream, "3"), upto=Position(3))
    told = (*liked, followed, read, NoticeMailSet(account=ANN, wanted=True))
    return [(stream, ANN, event) for event in (*told, NoticesRead(account=ANN, upto=Position(1)))]


def shares(workflow: UUID) -> list[Told]:
    """One that is still good, and one that is not."""
    made = ShareMade(owner=ANN, kind=Shared.WORKFLOW, subject=workflow)
    revoked = uuid4()
    return [(uuid4(), ANN, made), (revoked, ANN, made), (revoked, ANN, ShareRevoked())]


def shared_outputs() -> list[Told]:
    """One that is shown and liked, one hidden, one withdrawn, and one whose run is deleted."""
    told: list[Told] = []
    for number in range(4):
        run = RunId(uuid4())
        file = Output("9", number, "a.png", Digest("a" * 64), 9, "image/png", 8, 8)
        id = output_id(run, "9", number)
        at: dict[str, Any] = {"run": run, "node": "9", "index": number}
        shown = OutputPublished(owner=ANN, run=run, output=file, name="Füchse", tags=("fox",))
        liked = OutputLiked(account=BOB, output=id, **at)
        told += [(id, ANN, shown), (output_like_id(BOB, id), BOB, liked)]
        said = CommentPosted(owner=BOB, output=OutputPlace(id, **at), text="A fox!")
        told.append((CommentId(uuid4()), BOB, said))
        told += [
            [(id, ANN, OutputMarked(**at, by=ANN, sensitive=True))],
            [(id, ANN, OutputHidden(**at, by=BOB, reason="No."))],
            [(id, ANN, OutputWithdrawn(**at))],
            [(run, ANN, RunDeleted())],
        ][number]
    return told


def collections(workflow: UUID) -> list[Told]:
    """One with members that were put in order, and one that is deleted."""
    ours, gone = uuid4(), uuid4()
    one, other = [Member(Listed.WORKFLOW, id) for id in (workflow, uuid4())]
    events = [
        CollectionBegun(owner=ANN, name="Füchse"),
        *(MemberAdded(member=one), MemberAdded(member=other)),
        CollectionOrdered(members=(other, one)),
        MemberRemoved(member=other),
        CollectionChanged(public=True),
    ]
    begun = CollectionBegun(owner=BOB, name="Gone")
    return [*((ours, ANN, event) for event in events), (gone, BOB, begun), (gone, BOB, CollectionDeleted())]


def backend(name: str) -> Told:
    return backend_id(name), None, BackendSeen(name=name, executor="one")


def everything() -> list[Told]:
    """Something for every read model."""
    shown = workflow(ANN, "shown", public=True)
    return [
        *reports(shown[0][0]),
        *notices(shown[0][0]),
        *shares(shown[0][0]),
        *shared_outputs(),
        *collections(shown[0][0]),
        joined(ANN, "ann"),
        joined(BOB, "bob"),
        *workflow(ANN, "secret"),
        *shown,
        *likes(shown[0][0]),
        *comments(shown[0][0]),
        *forks(shown[0][0]),
        *follows(),
        *workflow(BOB, "bobs", public=True),
        backend("gpu-1"),
        *run(ANN),
        *run(BOB),
        *chosen_from(ANN),
        *batch(BOB),
        *run(ANN)[:3],
        (uuid4(), ANN, replace(submitted(ANN), pool="studio")),
        *inputs(ANN),
        *loras(ANN),
        *loras(BOB),
        *templates(ANN),
        *presets(ANN),
        *profiles(),
        *handling(),
    ]
