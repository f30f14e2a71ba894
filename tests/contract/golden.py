"""One example of every event, every field filled in: what the log has stored must stay readable for ever."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from domain.account import (
    AccountErased,
    AccountLoggedIn,
    AccountLoggedOut,
    AccountRegistered,
    AccountReinstated,
    AccountSuspended,
    EmailChanged,
    EmailConfirmed,
    IdentityLinked,
    IdentityUnlinked,
    PasswordChanged,
    Role,
    RoleGiven,
    SecondFactorOff,
    SecondFactorOn,
    SessionRevoked,
    SessionsEnded,
)
from domain.announcement import (
    AnnouncementChanged,
    AnnouncementEnded,
    AnnouncementPosted,
    Notice,
    Severity,
)
from domain.api_key import ApiKeyMade, ApiKeyRevoked, Scope
from domain.audience import Audience
from domain.backend import (
    BackendChanged,
    BackendDrained,
    BackendInventoried,
    BackendLost,
    BackendRegistered,
    BackendRemoved,
    BackendResumed,
    BackendSeen,
    Kind,
)
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
from domain.desk import DeskFileKept, DeskFileMoved, DeskFileRemoved, DeskSettingSet, Setting
from domain.event import Event, topic
from domain.follow import FollowBegun, FollowEnded
from domain.gate import GateRules, GateSet
from domain.handling import RenditionChosen, Retention, RetentionChosen
from domain.ids import AnnouncementId, BatchId, CommentId, Digest, LoraId, ModelId, Position, RunId, output_id
from domain.input import InputDeleted, InputStored
from domain.input_name import InputNamed
from domain.like import LikeGiven, LikeTakenBack
from domain.limits import Allowance, LimitsSet
from domain.lora import (
    LoraDeleted,
    LoraDescribed,
    LoraRenamed,
    LoraShared,
    LoraSummary,
    LoraUnshared,
    LoraUploaded,
)
from domain.model import About, ModelChanged, ModelRegistered, ModelRemoved
from domain.notice import Kind as Heard
from domain.notice import NoticeGiven, NoticeMailSet, NoticeRead, NoticesRead
from domain.outcome import Course, NodeShown, NodeTime
from domain.output_like import OutputLiked, OutputUnliked
from domain.personal import Personal
from domain.place import OutputPlace
from domain.preset import PresetCreated, PresetDeleted, PresetPublished, PresetSaved, PresetWithdrawn
from domain.profile import AvatarChanged, ProfileChanged
from domain.projection import ProjectionEventSkipped, ProjectionSkipWithdrawn
from domain.queue import (
    CleaningFinished,
    PoolAssigned,
    PoolSet,
    PoolSettings,
    QueueCleaned,
    QueuePaused,
    QueueResumed,
)
from domain.rendition import Format, Rendition
from domain.report import HidingUndone, ReportMade, ReportsDismissed, ReportsUpheld
from domain.report import Kind as Reported
from domain.report import Reason as Because
from domain.reservation import NameReleased, NameReserved
from domain.run import (
    Charge,
    InBatch,
    OutputDeleted,
    OutputStarred,
    OutputStored,
    OutputUnstarred,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunDismissed,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunStopped,
    RunSubmitted,
    RunSucceeded,
)
from domain.share import Kind as SharedKind
from domain.share import ShareMade, ShareRevoked
from domain.shared_output import (
    OutputHidden,
    OutputMarked,
    OutputPublished,
    OutputShownAgain,
    OutputWithdrawn,
)
from domain.source import ParametersSource
from domain.template import (
    FormSummary,
    TemplateCreated,
    TemplateDeleted,
    TemplatePublished,
    TemplateVersionSaved,
    TemplateWithdrawn,
)
from domain.webhook import (
    Reason,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookDisabled,
    WebhookPaused,
    WebhookResumed,
    WebhookSecretRotated,
)
from domain.words import WordsSet
from domain.workflow import (
    EnvironmentRemoved,
    EnvironmentSet,
    Requirements,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowForked,
    WorkflowHidden,
    WorkflowImported,
    WorkflowMarked,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowRenamed,
    WorkflowShownAgain,
    WorkflowTagged,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    WorkflowTrashed,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from tests.domain.facts import ANN, BOB, NOON, SESSION, WORKFLOW_ID, bad_node, content, output

FOLDER = Path(__file__).parent / "golden"

RUN_ID = RunId(UUID(int=0x2C))
OUTPUT_ID = output_id(RUN_ID, "9", 0)
LORA = LoraId(UUID(int=0x10FA))
REQUIREMENTS = Requirements(("KSampler", "SaveImage"), ("checkpoints/sd15.safetensors",))
COURSE = Course(("1",), ("2", "9"), (NodeShown("9", "9", '{"images":[{"filename":"a.png"}]}'),))

EXAMPLES: tuple[Event, ...] = (
    AccountRegistered(account=ANN, username=Personal(sealed="bm9uY2UgYW5kIGNpcGhlcnRleHQ=")),
    AccountErased(with_published=True),
    AccountLoggedIn(session=SESSION),
    AccountLoggedOut(session=SESSION),
    SessionRevoked(session=SESSION),
    PasswordChanged(password=UUID(int=7), kept=SESSION, epoch=1),
    EmailChanged(email=UUID(int=7), kept=SESSION, epoch=2),
    EmailConfirmed(email=UUID(int=7)),
    IdentityLinked(identity=UUID(int=0x1D)),
    IdentityUnlinked(identity=UUID(int=0x1D)),
    SecondFactorOn(factor=UUID(int=8)),
    SecondFactorOff(reason="She has lost her phone."),
    SessionsEnded(kept=SESSION, epoch=3),
    AccountSuspended(reason="Mining.", epoch=4),
    AccountReinstated(reason="It was a mistake."),
    RoleGiven(role=Role.ADMIN, reason="She built it."),
    ApiKeyMade(owner=ANN, scopes=(Scope.EVENTS, Scope.READ)),
    ApiKeyRevoked(),
    NameReserved(account=ANN),
    NameReleased(account=ANN),
    WorkflowCreated(owner=ANN, name="Portrait", description="Soft light.", tags=("face", "night")),
    WorkflowVersionSaved(
        number=3,
        graph=content("a"),
        editor_graph=content("b"),
        note="sharper",
        requirements=REQUIREMENTS,
        restored_from=1,
        unconverted="A node is of a class that nobody knows.",
    ),
    WorkflowRenamed(name="Portrait at night"),
    WorkflowDescribed(description="Moonlight. Größe 1:1"),
    WorkflowTagged(tags=("night",)),
    WorkflowPublished(),
    WorkflowWithdrawn(),
    WorkflowTrashed(published=True),
    WorkflowRecovered(),
    WorkflowDeleted(),
    WorkflowThumbnailSet(thumbnails=output.thumbnails),
    WorkflowThumbnailRemoved(digests=(Digest("d" * 64),)),
    WorkflowImported(source=WORKFLOW_ID, saved_at=(NOON,)),
    WorkflowForked(source=WORKFLOW_ID, number=2),
    EnvironmentSet(name="production", number=3),
    EnvironmentRemoved(name="staging"),
    RunSubmitted(
        owner=ANN,
        workflow=WORKFLOW_ID,
        workflow_version=2,
        graph=content("a"),
        requirements=REQUIREMENTS,
        priority=7,
        timeout_s=600,
        source=ParametersSource(content("f", 700)),
        seed=2**64 - 1,
        batch=InBatch(BatchId(UUID(int=0xBA7)), 3),
        rerun_of=RUN_ID,
        inputs=(Digest("a" * 64),),
        pool="studio",
        words="A fox in the snow, Größe 1:1",
        rendition=Rendition(format=Format.WEBP, quality=80, metadata=False),
    ),
    OutputStarred(node="9", index=1),
    OutputUnstarred(node="9", index=1),
    OutputDeleted(node="9", index=1, size_bytes=1234, reason="Older than 30 days."),
    RenditionChosen(account=ANN, rendition=Rendition(format=Format.JPEG, quality=75, metadata=False)),
    RetentionChosen(account=ANN, retention=Retention(days=30, size_bytes=10**9, keep_starred=False)),
    PresetCreated(owner=ANN),
    PresetSaved(name="Milan", description="A character.", template="qwen_single", document=content("b", 90)),
    PresetPublished(),
    PresetWithdrawn(),
    PresetDeleted(),
    TemplateCreated(owner=ANN),
    TemplateVersionSaved(
        number=2,
        document=content("d", 3_000),
        about=FormSummary(
            name="A portrait",
            description="Soft light.",
            category="generation",
            model_family="sdxl",
            max_batch_size=20,
            requires_image=True,
            requires_mask=True,
        ),
        workflow=WORKFLOW_ID,
        workflow_version=3,
    ),
    TemplatePublished(),
    TemplateWithdrawn(),
    TemplateDeleted(),
    RunDeleted(outputs=4),
    BatchSubmitted(owner=ANN, runs=(RUN_ID,), plan=content("e", 90), varied=("cfg", "loras")),
    BatchCancelled(by=ANN),
    InputStored(
        owner=ANN,
        digest=Digest("a" * 64),
        name="photo.jpg",
        media_type="image/png",
        size_bytes=1234,
        width=640,
        height=480,
    ),
    InputDeleted(digest=Digest("a" * 64)),
    RunClaimed(
        epoch=1,
        backend="gpu-1",
        executor="east",
        charge=Charge(clock_us=40_000_000, skipped_us=1_500_000, run_us=9_000_000, weight=0.5),
    ),
    RunStarted(epoch=1, backend="gpu-1"),
    OutputStored(epoch=1, output=output),
    RunSucceeded(
        epoch=1,
        execution_s=1.5,
        outputs=1,
        backend="gpu-1",
        nodes=(NodeTime("3", 1.25),),
        course=COURSE,
    ),
    RunAttemptLost(epoch=1, failure=bad_node, execution_s=1.5, backend="gpu-1", nodes=(NodeTime("3", 1.25),)),
    RunRequeued(not_before=NOON, reason="The executor was told to stop."),
    RunFailed(
        failure=bad_node, execution_s=1.5, backend="gpu-1", nodes=(NodeTime("3", 1.25),), course=COURSE
    ),
    RunDismissed(),
    RunCancelled(by=ANN),
    RunStopped(epoch=1, course=COURSE),
    RunRevived(not_before=NOON, reason="The machine has been repaired."),
    BackendSeen(name="gpu-1", executor="east", comfyui_version="0.9", device="RTX 4090"),
    BackendLost(name="gpu-1", reason="It does not answer."),
    BackendRegistered(
        name="gpu-2",
        access=UUID(int=5),
        kind=Kind.COMFYUI,
        pool="big",
        owner=ANN,
        executor="east",
        slots=2,
        reason="A new machine.",
    ),
    BackendChanged(
        name="gpu-2", access=UUID(int=6), pool="shared", executor="west", slots=1, reason="It has moved."
    ),
    BackendDrained(name="gpu-2", reason="A new driver."),
    BackendResumed(name="gpu-2", reason="The driver is in."),
    BackendRemoved(name="gpu-2", reason="Sold."),
    BackendInventoried(
        name="gpu-2",
        inventory=content("c"),
        comfyui_version="0.9",
        vram_bytes=25_769_803_776,
        node_classes=388,
        checkpoints=3,
        loras=12,
        other_models=7,
    ),
    GateSet(
        rules=GateRules(
            allowed=("Impact", "WD14Tagger"), denied=("LoadImage",), nodes=9, side=8, pixels=7, batch=6
        ),
        reason="The studio needs them.",
    ),
    ModelRegistered(
        model=ModelId(UUID(int=7)),
        type="checkpoints",
        name="studio/v3.safetensors",
        about=About(
            description="For portraits.",
            base_model="sdxl",
            trigger_words=("studio style",),
            active=False,
            audience=Audience(roles=(Role.ADMIN,), accounts=(ANN,)),
        ),
        reason="It is licensed to one.",
    ),
    ModelChanged(
        model=ModelId(UUID(int=7)),
        about=About(
            description="For portraits and more.",
            base_model="sd15",
            trigger_words=("studio",),
            active=True,
            audience=Audience(roles=(Role.MEMBER,), accounts=(BOB,)),
        ),
        reason="The licence has changed.",
    ),
    AnnouncementPosted(
        announcement=AnnouncementId(UUID(int=8)),
        notice=Notice(text="On Sunday we are away.", severity=Severity.WARNING, starts_at=NOON, ends_at=None),
        reason="New machines.",
    ),
    AnnouncementChanged(
        announcement=AnnouncementId(UUID(int=8)),
        notice=Notice(text="On Monday we are away.", starts_at=NOON, ends_at=NOON + timedelta(hours=1)),
        reason="They come later.",
    ),
    AnnouncementEnded(announcement=AnnouncementId(UUID(int=8)), reason="They are here."),
    ModelRemoved(model=ModelId(UUID(int=7)), reason="It is deleted everywhere."),
    ProjectionEventSkipped(
        projection="gallery", position=Position(7), reason="A test's leftover.", fault="KeyError: 'name'"
    ),
    ProjectionSkipWithdrawn(projection="gallery", position=Position(7), reason="The fold is mended."),
    QueuePaused(pool="studio", reason="New cards are built in."),
    QueueResumed(pool="studio", reason="They are in."),
    QueueCleaned(states=("cancelled", "failed"), before=NOON, reason="They are a year old."),
    CleaningFinished(cleaned=Position(7), runs=1_200, outputs=4_800),
    PoolSet(
        pool="studio",
        settings=PoolSettings(
            rank=2, running=8, queued=500, audience=Audience(roles=(Role.ADMIN,), accounts=(ANN,))
        ),
        reason="The studio has paid for them.",
    ),
    PoolAssigned(account=ANN, pool="studio", reason="She works there."),
    LimitsSet(
        account=ANN,
        limits=Allowance(running=2, queued=100, runs_per_day=1_000, run_s_per_day=36_000),
        weight=2.0,
        reason="A class of thirty uses it.",
    ),
    WebhookCreated(
        owner=ANN,
        address=UUID(int=1),
        secret=UUID(int=2),
        types=("run.succeeded.v1", "workflow.*"),
        description="Tells the studio.",
        everybody=True,
        ordered=False,
    ),
    WebhookChanged(
        address=UUID(int=3), types=("run.*",), description="The studio", everybody=False, ordered=True
    ),
    WebhookSecretRotated(secret=UUID(int=4), until=NOON),
    WebhookPaused(),
    WebhookResumed(),
    WebhookDisabled(reason=Reason.GONE),
    WebhookDeleted(),
    LoraUploaded(
        owner=ANN,
        lora=LORA,
        name="Soft light",
        file=f"soft_light-{'e' * 64}.safetensors",
        content=content("e", 150_000_000),
        description="Light as on a cloudy day.",
        summary=LoraSummary("sdxl", ("soft light", "cloudy"), 32, "F16", 2166),
    ),
    LoraRenamed(lora=LORA, name="Softer light"),
    LoraDescribed(lora=LORA, description="Light as in fog."),
    LoraShared(lora=LORA, public=True, accounts=(BOB,)),
    LoraUnshared(lora=LORA),
    LoraDeleted(lora=LORA),
    LikeGiven(account=BOB, workflow=WORKFLOW_ID),
    LikeTakenBack(account=BOB, workflow=WORKFLOW_ID),
    CommentPosted(
        owner=BOB,
        workflow=WORKFLOW_ID,
        text="Schön, @ann!",
        parent=CommentId(UUID(int=0xC0)),
        mentions=(ANN,),
        output=OutputPlace(OUTPUT_ID, RUN_ID, "9", 0),
    ),
    CommentEdited(text="Sehr schön, @ann!", mentions=(ANN,)),
    CommentDeleted(workflow=WORKFLOW_ID, by=ANN, output=OutputPlace(OUTPUT_ID, RUN_ID, "9", 0)),
    FollowBegun(follower=BOB, followed=ANN),
    FollowEnded(follower=BOB, followed=ANN),
    ProfileChanged(
        account=ANN,
        display_name=Personal(sealed="YSBub25jZSBhbmQgYSBuYW1l"),
        bio=Personal(sealed="YSBub25jZSBhbmQgd29yZHM="),
        links=Personal(sealed="YSBub25jZSBhbmQgbGlua3M="),
    ),
    AvatarChanged(account=ANN, avatar=UUID(int=0xA7)),
    WorkflowHidden(by=BOB, reason="Somebody else has made it."),
    WorkflowShownAgain(by=BOB, reason="It is theirs after all.", public=True),
    CommentHidden(
        workflow=WORKFLOW_ID,
        by=ANN,
        reason="An insult.",
        output=OutputPlace(OUTPUT_ID, RUN_ID, "9", 0),
    ),
    CommentShownAgain(
        workflow=WORKFLOW_ID,
        by=ANN,
        reason="They meant it well.",
        output=OutputPlace(OUTPUT_ID, RUN_ID, "9", 0),
    ),
    ReportMade(
        kind=Reported.WORKFLOW,
        subject=WORKFLOW_ID,
        owner=ANN,
        by=BOB,
        reason=Because.COPYRIGHT,
        text="It is mine.",
        said="Portrait",
    ),
    ReportsDismissed(by=BOB, reason="It is not."),
    ReportsUpheld(
        kind=Reported.WORKFLOW,
        subject=WORKFLOW_ID,
        owner=ANN,
        by=BOB,
        reason="Somebody else has made it.",
        said="Portrait",
    ),
    HidingUndone(by=BOB, reason="It is theirs after all."),
    NoticeGiven(
        account=ANN,
        kind=Heard.ANSWERED,
        cause=Position(7),
        by=BOB,
        workflow=WORKFLOW_ID,
        comment=CommentId(UUID(int=0xC0)),
        output=OUTPUT_ID,
        count=2,
        reason="An example.",
        day="2026-12-01",
    ),
    NoticeRead(account=ANN, notice=UUID(int=0xD0), upto=Position(9)),
    NoticesRead(account=ANN, upto=Position(12)),
    NoticeMailSet(account=ANN, wanted=True),
    ShareMade(owner=ANN, kind=SharedKind.OUTPUT, subject=RUN_ID, output=output, expires_at=NOON),
    ShareRevoked(),
    OutputPublished(
        owner=ANN,
        run=RUN_ID,
        output=output,
        name="A fox",
        description="In the snow.",
        tags=("fox",),
        sensitive=True,
        graph=content("a"),
        values=content("b", 90),
    ),
    OutputWithdrawn(run=RUN_ID, node="9", index=0),
    OutputHidden(run=RUN_ID, node="9", index=0, by=BOB, reason="It is no fox."),
    OutputShownAgain(run=RUN_ID, node="9", index=0, by=BOB, reason="It is one."),
    OutputMarked(run=RUN_ID, node="9", index=0, by=BOB, sensitive=True, judged=True, reason="Blood."),
    WorkflowMarked(by=BOB, sensitive=True, judged=True, reason="Blood."),
    WordsSet(blocked=("buy now", "spam"), reason="Nobody wants it."),
    InputNamed(owner=ANN, type="input", subfolder="a", filename="red.png", digest=Digest("a" * 64)),
    DeskSettingSet(owner=ANN, name="Comfy.ColorPalette", setting=Setting('"light"')),
    DeskFileKept(owner=ANN, path="a/user.css", content=content("a"), kept_at=NOON),
    DeskFileMoved(path="a/user.css", to="user.css"),
    DeskFileRemoved(path="user.css"),
    OutputLiked(account=BOB, output=OUTPUT_ID, run=RUN_ID, node="9", index=0),
    OutputUnliked(account=BOB, output=OUTPUT_ID, run=RUN_ID, node="9", index=0),
    CollectionBegun(owner=ANN, name="Foxes", description="In the snow.", public=True),
    CollectionChanged(name="Vixens", description="In the wood.", public=False),
    MemberAdded(member=Member(Listed.OUTPUT, OUTPUT_ID)),
    MemberRemoved(member=Member(Listed.OUTPUT, OUTPUT_ID)),
    CollectionOrdered(
        members=(Member(Listed.WORKFLOW, WORKFLOW_ID), Member(Listed.OUTPUT, OUTPUT_ID)),
    ),
    CollectionDeleted(),
)


def file_of(topic_name: str) -> Path:
    return FOLDER / f"{topic_name}.json"


def names() -> set[str]:
    return {topic(example) for example in EXAMPLES}
