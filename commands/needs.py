"""What every handler is given, and the two shapes it may have."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.avatars import Avatars
from commands.backend_access import BackendAccess
from commands.identity_ports import (
    Accounts,
    ApiKeys,
    Attempts,
    Erasures,
    Factors,
    Mails,
    Passwords,
    Secrets,
    Vault,
)
from commands.known_backends import KnownBackends
from commands.ports import Admissions, Clock, Contents
from commands.providers import Provider, SignOns
from commands.streams import Context, Streams
from commands.webhook_state import WebhookState
from domain.attempt import Retries
from domain.handling import Retention
from workflows.registry import Registry


class Limits(Struct, frozen=True, kw_only=True):
    graph_bytes: int = 8 * 1024 * 1024
    run_timeout_s: int = 300
    access_token: timedelta = timedelta(minutes=15)
    refresh_token: timedelta = timedelta(days=30)
    wrong_attempts: int = 10
    """Passwords for one login, within the window; 0: any number, as for the next."""
    wrong_attempts_of_address: int = 100
    registrations_of_address: int = 100
    """New accounts from one network address, within the window."""
    attempts_window: timedelta = timedelta(minutes=15)
    retries: Retries = Retries()
    confirm_addresses: bool = False
    """Whether an address counts only when it is confirmed, so that nobody learns from us whose it is."""
    mail_link: str = "Your code for {purpose}: {token}"
    """What a mail tells its reader to do, with the places of purpose and token."""
    private_addresses: bool = False
    """Whether accounts may have us dial into our own network."""
    private_backends: bool = False
    """Whether an account's own backend may be there."""
    retention: Retention = Retention()
    """Of outputs of accounts that chose nothing."""


class Needs(Struct, frozen=True, kw_only=True):
    streams: Streams
    contents: Contents
    accounts: Accounts
    avatars: Avatars
    api_keys: ApiKeys
    passwords: Passwords
    attempts: Attempts
    factors: Factors
    mails: Mails
    sign_ons: SignOns
    secrets: Secrets
    vault: Vault
    erasures: Erasures
    webhooks: WebhookState
    backend_access: BackendAccess
    backends: KnownBackends
    admissions: Admissions
    now: Clock
    new_id: Callable[[], UUID]
    new_seed: Callable[[], int]
    """For who wants any; small enough that no JSON reader rounds it."""
    limits: Limits = Limits()
    provider: Provider | None = None
    """Of identities; None: nobody logs in by one."""
    templates: Registry = msgspec.field(default_factory=Registry)
    """Those that come with the program."""


class Command(Struct, frozen=True, kw_only=True):
    """A wish."""


C = TypeVar("C", bound=Command)
Handler: TypeAlias = Callable[[C, Context, Needs], Awaitable[Any]]
