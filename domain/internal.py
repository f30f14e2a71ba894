"""The domain events that outsiders are told nothing of."""

from typing import get_args

from domain import lora, notice, run, shared_output, template, workflow
from domain.account import (
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
    RoleGiven,
    SecondFactorOff,
    SecondFactorOn,
    SessionRevoked,
    SessionsEnded,
)
from domain.announcement import AnnouncementEvent
from domain.api_key import ApiKeyMade, ApiKeyRevoked
from domain.backend import BackendEvent
from domain.batch import BatchEvent
from domain.collection import CollectionEvent
from domain.comment import CommentEvent
from domain.desk import DeskEvent
from domain.event import Event
from domain.follow import FollowEvent
from domain.gate import GateSet
from domain.handling import HandlingEvent
from domain.input import InputEvent
from domain.input_name import InputNamed
from domain.like import LikeEvent
from domain.limits import LimitsSet
from domain.model import ModelEvent
from domain.output_like import OutputLikeEvent
from domain.preset import PresetEvent
from domain.profile import ProfileEvent
from domain.projection import ProjectionEvent
from domain.queue import QueueEvent
from domain.report import ReportEvent
from domain.reservation import NameReleased, NameReserved
from domain.share import ShareEvent
from domain.webhook import WebhookEvent
from domain.words import WordsSet

INTERNAL: frozenset[type[Event]] = frozenset(
    {
        *(AccountRegistered, AccountLoggedIn, AccountLoggedOut, SessionRevoked, RoleGiven),
        *(SecondFactorOn, SecondFactorOff, IdentityLinked, IdentityUnlinked),
        *(PasswordChanged, EmailChanged, EmailConfirmed, SessionsEnded, AccountSuspended, AccountReinstated),
        *(ApiKeyMade, ApiKeyRevoked),
        *(NameReserved, NameReleased),
        *(run.RunClaimed, run.RunAttemptLost, run.RunStopped, run.RunDeleted, run.RunDismissed),
        *(run.OutputStarred, run.OutputUnstarred, run.OutputDeleted),
        *get_args(BackendEvent),
        *get_args(BatchEvent),
        *get_args(InputEvent),
        InputNamed,
        *get_args(DeskEvent),
        *(lora.LoraShared, lora.LoraUnshared),
        *(workflow.WorkflowImported, workflow.WorkflowThumbnailSet, workflow.WorkflowThumbnailRemoved),
        template.TemplateCreated,
        *get_args(PresetEvent),
        *get_args(WebhookEvent),
        *get_args(ProjectionEvent),
        *get_args(QueueEvent),
        LimitsSet,
        GateSet,
        WordsSet,
        workflow.WorkflowMarked,
        *get_args(ModelEvent),
        *get_args(AnnouncementEvent),
        *get_args(LikeEvent),
        *get_args(CommentEvent),
        *get_args(FollowEvent),
        *get_args(ProfileEvent),
        *get_args(HandlingEvent),
        *get_args(ReportEvent),
        *get_args(CollectionEvent),
        *(shared_output.OutputShownAgain, shared_output.OutputMarked),
        *get_args(OutputLikeEvent),
        *get_args(ShareEvent),
        *(notice.NoticeRead, notice.NoticesRead, notice.NoticeMailSet),
    }
)
"""A new domain event stands in `domain.public.PUBLIC` or here."""
