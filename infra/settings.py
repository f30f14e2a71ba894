"""Every setting of the program: name, type, default and one sentence. Read from COMFYPLUS_<NAME> and COMFYUI_URL."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

from domain.prices import read_prices

PREFIX = "COMFYPLUS_"
ELSEWHERE = {"comfyui_url": "COMFYUI_URL"}  # the name other tools around ComfyUI use
MIB = 2**20

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=366 * 86_400)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1024, le=1024**4)]
Limit: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Url: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+]*://\S+$")]
HttpUrl: TypeAlias = Annotated[str, Meta(pattern=r"^https?://\S+$")]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class SettingsError(Exception):
    """One or more settings are wrong; the message has a line for each."""


class Settings(Struct, frozen=True, kw_only=True):
    data: Path = Path(".data")
    """The folder that holds everything this program keeps."""

    erasures: Path | None = None
    """The list of erased accounts, to be kept outside backups; unset: <data>/erasures.jsonl."""

    gate: Path | None = None
    """A file that is locked while the servers start; the programs load meanwhile and wait for it."""

    database_url: Url | None = None
    """PostgreSQL as its owner, who migrates; unset: an embedded server."""
    app_database_url: Url | None = None
    """PostgreSQL as comfyplus_app; unset: derived from the owner's, as for the next four."""
    project_database_url: Url | None = None
    """PostgreSQL as comfyplus_project."""
    query_database_url: Url | None = None
    """PostgreSQL as comfyplus_query."""
    dispatch_database_url: Url | None = None
    """PostgreSQL as comfyplus_dispatch."""
    relay_database_url: Url | None = None
    """PostgreSQL as comfyplus_relay."""

    nats_url: Url | None = None
    """NATS with the name and password of APP's user in it; unset: an embedded server."""
    nats_exec_url: Url | None = None
    """NATS with the executor's name and password in it."""
    nats_feed_url: Url | None = None
    """NATS as FEED's user, who publishes for integrators; unset: where NATS is embedded, derived, else nobody does."""
    nats_auth_url: Url | None = None
    """NATS as AUTH's user, who lets integrators in; unset: as above."""
    nats_sys_url: Url | None = None
    """NATS as SYS's user, who ends connections of revoked keys; unset: as above."""
    nats_public_url: Url | None = None
    """How integrators reach NATS; unset: as we do."""
    nats_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """The address the embedded NATS listens on."""
    nats_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """The embedded NATS's port; 0: any free one."""
    nats_login_s: Seconds = 3600
    """How long an integrator's connection lasts before it has to log in again."""

    comfyui_url: HttpUrl | None = None
    """The ComfyUI to drive; unset: the sandbox."""
    runpod_endpoint: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """The id of a serverless endpoint of RunPod, with worker-comfyui on it, that this executor drives as well."""
    runpod_api_key: Annotated[str, Meta(min_length=1)] | None = None
    """The key to it."""
    runpod_url: HttpUrl = "https://api.runpod.ai/v2"
    """How RunPod is reached."""
    runpod_backend: Name = "runpod"
    """The name that the endpoint gets."""
    backend: Name = "local"
    """The name that ComfyUI gets."""
    executor: Name = "local"
    """The name of this machine's executor."""

    models_dir: Path | None = None
    """The models folder of that ComfyUI, where its executor sees it; unset: it takes no LoRAs of accounts."""
    lora_cache_bytes: Bytes = 50 * 1024 * MIB
    """How many bytes of accounts' LoRAs are kept in that folder."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """The address the API listens on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8400
    """The API's port; 0: any free one."""
    public_url: HttpUrl | None = None
    """How people reach the API; unset: host and port."""
    api_url: HttpUrl | None = None
    """How executors reach the API; unset: host and port."""

    editor: Path | None = None
    """The folder of the editor's files, for another version; unset: the installed `comfyui-frontend-package`."""

    secret: Annotated[str, Meta(min_length=32)] | None = None
    """What all keys are derived from; unset: made once in <data>/secret."""
    audit_key: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """The private Ed25519 key, 32 bytes in hexadecimal, that signs checkpoints; unset: made in <data>/keys."""
    audit_every_s: Seconds = 60
    """How soon the seals of what is new in the log are verified."""
    audit_events_s: Annotated[float, Meta(gt=0)] = 2000
    """How many events a second the audit verifies on its rounds over the whole log."""
    access_token_s: Seconds = 15 * 60
    """How long an access token opens doors."""
    refresh_token_s: Seconds = 30 * 86_400
    """How long one may stay away without logging in again."""

    wrong_attempts: Limit = 10
    """How many wrong passwords may be sent for one login within the window; 0: any number, as for the next."""
    wrong_attempts_of_address: Limit = 100
    """How many may be sent from one network address."""
    registrations_of_address: Limit = 100
    """How many accounts may be registered from one network address within the window."""
    attempts_window_s: Seconds = 15 * 60
    """That window; all is forgiven when so much time has passed."""
    trusted_proxies: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """The addresses of proxies in front of the API, with commas between: what they say of a client's address counts."""

    oidc_issuer: HttpUrl | None = None
    """The OpenID provider that people may log in by, as it calls itself; unset: none."""
    oidc_client_id: Annotated[str, Meta(min_length=1)] | None = None
    """How it knows us."""
    oidc_client_secret: Annotated[str, Meta(min_length=1)] | None = None
    """What it knows us by; unset: we are a public client, by PKCE alone."""
    oidc_label: Annotated[str, Meta(min_length=1, max_length=80)] = "Single sign-on"
    """What stands on the button that leads there."""
    oidc_scopes: Annotated[str, Meta(pattern=r"^openid( [!-~]+)*$")] = "openid email profile"
    """What it is asked to tell of people."""
    oidc_redirect_url: HttpUrl | None = None
    """Where it sends people back to: a page that asks our callback with the same query; unset: the callback itself."""
    oidc_private_addresses: bool = False
    """Whether it may be in a private network, or on this machine, and without TLS."""

    mail_url: Annotated[str, Meta(pattern=r"^smtps?://\S+$")] | None = None
    """The mail server, with name and password in it; unset: mails are written into <data>/mails."""
    mail_from: Annotated[str, Meta(pattern=r"^[^\r\n]+@[^\r\n]+$")] = "comfyplus@localhost"
    """Whom mails come from."""
    mail_link: Annotated[str, Meta(pattern=r"^https?://[^\s{}]*(\{(purpose|token)\}[^\s{}]*)*$")] | None = (
        None
    )
    """The page that mails lead to, with {purpose} (reset, confirm) and {token}; unset: they hold the token itself."""

    confirm_addresses: bool | None = None
    """Whether an e-mail address counts only once it is confirmed, and joining tells nobody whose it is.
    Unset: where there is a mail server."""

    lease_s: Seconds = 45
    """An executor that is silent for this long loses its runs."""
    beat_s: Seconds = 10
    """How often an executor says that it lives."""
    sweep_s: Seconds = 2
    """How often dispatch looks for lost runs."""
    retry_pause_s: Seconds = 5
    """The pause before a run's first retry; it doubles with each, up to an hour."""
    retries: Annotated[int, Meta(ge=0, le=20)] = 3
    """How often a lost run is tried again."""
    run_timeout_s: Annotated[int, Meta(ge=1, le=7 * 86_400)] = 300
    """How long a run may take."""

    running_limit: Limit = 0
    """How many runs of an account may be under way at once; 0: any number, as for the next three."""
    queued_limit: Limit = 1000
    """How many runs of an account may wait."""
    runs_per_day_limit: Limit = 0
    """How many runs an account may have on a day, of UTC."""
    run_s_per_day_limit: Limit = 0
    """How many seconds the runs of an account may take on a day."""

    webhook_private_addresses: bool = False
    """Whether webhooks may lead into private networks, or to this machine."""

    backend_private_addresses: bool = False
    """Whether accounts' own backends may be in private networks, or on this machine."""
    drain_s: Seconds = 5
    """What runs when an executor is told to stop gets so long to end."""
    slots: Annotated[int, Meta(ge=1, le=64)] = 2
    """Prompts inside one backend: those that run, and one ahead."""

    outputs_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """After how many days outputs go by themselves, of accounts that chose nothing else; 0: never, as for the next."""
    outputs_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 0
    """How many bytes of outputs they keep; beyond that the oldest go. What is starred stays."""
    prices: str = ""
    """What a second of a backend costs, as `gpu-1=0.0004,pool:studio=0.0002,*=0.0001`; in a unit of your own."""
    retention_every_s: Seconds = 600
    """How often is looked for outputs that are to go."""

    templates: Path | None = None
    """A folder of templates of one's own, two files for each; see docs/templates.md."""

    max_graph_bytes: Bytes = 8 * MIB
    """The largest graph taken."""
    max_object_bytes: Bytes = 1024 * MIB
    """The largest output taken."""
    max_lora_bytes: Bytes = 10 * 1024 * MIB
    """The largest LoRA taken."""
    lora_quota_bytes: Bytes = 100 * 1024 * MIB
    """How many bytes an account's LoRAs may have together."""
    lora_quota: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """How many LoRAs an account may have."""
    upload_kept_s: Seconds = 86_400
    """For so long after its last bytes an upload may be gone on with."""
    tidy_s: Seconds = 30
    """How often is looked for uploads and files of LoRAs that nobody needs any more, and for old trash."""
    trash_kept_s: Seconds = 30 * 86_400
    """For so long a workflow that was thrown away can be taken out of the trash."""
    max_image_pixels: Annotated[int, Meta(ge=MIB)] = 256 * MIB
    """The largest picture that thumbnails are made of."""

    objects: Literal["disk", "s3"] | None = None
    """Where new files go: disk is <data>/objects; unset: s3 where a bucket is named, else disk."""
    s3_bucket: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    """The bucket that keeps files; while it is named, files on disk are found as well."""
    s3_endpoint: HttpUrl | None = None
    """How we reach S3; unset: Amazon's, by the region."""
    s3_public_endpoint: HttpUrl | None = None
    """How browsers and executors reach S3; unset: as we do."""
    s3_region: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    """The bucket's region."""
    s3_access_key: Annotated[str, Meta(min_length=1)] | None = None
    """The id of the key to the bucket; unset: what the machine itself may do, as boto3 finds it."""
    s3_secret_key: Annotated[str, Meta(min_length=1)] | None = None
    """The key to the bucket."""
    s3_prefix: Annotated[str, Meta(pattern=r"^([A-Za-z0-9!_.*'()-]+/)*$")] = ""
    """What the names of our files in the bucket begin with: nothing, or folders, each with a slash behind it."""
    s3_path_style: bool = False
    """Whether the bucket's name stands in the path and not in the host's name."""
    s3_downloads: Literal["redirect", "stream"] = "redirect"
    """Whether people and executors go to S3 themselves, by links that expire, or through us."""
    s3_link_s: Annotated[int, Meta(ge=10, le=7 * 86_400)] = 300
    """How long such a link is good for."""

    keep_replaced_s: Seconds = 3600
    """How long the build that a read model's newer one has replaced is kept, to roll back to."""

    log_level: Level = "info"
    """What to log: debug, info, warning or error."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """An empty value counts as unset. Raises SettingsError naming every problem."""
        names = {variable(field.name): field for field in msgspec.structs.fields(cls)}
        values: dict[str, object] = {}
        problems = [
            f"{key} is not a setting; did you mean {near[0]}?"
            for key in environment
            if key.startswith(PREFIX)
            and key not in names
            and (near := get_close_matches(key, names, 1, 0.85))
        ]
        for key, field in names.items():
            if text := environment.get(key, "").strip():
                try:
                    values[field.name] = msgspec.convert(text, field.type, strict=False, dec_hook=_decode)
                except msgspec.ValidationError as error:
                    problems.append(f"{key}: {error}")
        settings = cls(**values)  # type: ignore[arg-type]  # each value was converted to its field's type
        if settings.beat_s * 2 > settings.lease_s:
            problems.append("COMFYPLUS_BEAT_S must be at most half of COMFYPLUS_LEASE_S.")
        try:
            read_prices(settings.prices)
        except ValueError as error:
            problems.append(f"COMFYPLUS_PRICES: {error}")
        if settings.objects == "s3" and settings.s3_bucket is None:
            problems.append("COMFYPLUS_S3_BUCKET must name the bucket where COMFYPLUS_OBJECTS is s3.")
        if (settings.oidc_issuer is None) != (settings.oidc_client_id is None):
            problems.append("COMFYPLUS_OIDC_ISSUER and COMFYPLUS_OIDC_CLIENT_ID belong together.")
        if (settings.oidc_issuer or "").startswith("http:") and not settings.oidc_private_addresses:
            problems.append("COMFYPLUS_OIDC_ISSUER must begin with https:// unless it may be private.")
        if (settings.runpod_endpoint is None) != (settings.runpod_api_key is None):
            problems.append("COMFYPLUS_RUNPOD_ENDPOINT and COMFYPLUS_RUNPOD_API_KEY belong together.")
        if (settings.s3_access_key is None) != (settings.s3_secret_key is None):
            problems.append("COMFYPLUS_S3_ACCESS_KEY and COMFYPLUS_S3_SECRET_KEY belong together.")
        if problems:
            raise SettingsError("\n".join(problems))
        return settings

    def to_environment(self) -> dict[str, str]:
        """What another process needs to read the same settings."""
        return {
            variable(name): str(value)
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None
        }

    def __repr__(self) -> str:
        return "Settings(...)"  # URLs and the secret must not reach a log


def variable(name: str) -> str:
    return ELSEWHERE.get(name, PREFIX + name.upper())


def load_secret(settings: Settings) -> bytes:
    """The configured secret, else the one in the data folder, made when it is not there yet."""
    if settings.secret is not None:
        return settings.secret.encode()
    return _made_once(settings.data / "secret").encode()


def load_audit_key(settings: Settings) -> bytes:
    """The seed of the key that signs checkpoints, made when there is none yet."""
    return bytes.fromhex(settings.audit_key or _made_once(audit_key_path(settings)))


def erasures_path(settings: Settings) -> Path:
    return settings.erasures or settings.data / "erasures.jsonl"


def audit_key_path(settings: Settings) -> Path:
    return settings.data / "keys" / "audit.key"


def _made_once(path: Path) -> str:
    """32 random bytes in hexadecimal, in a file that only its owner may read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(fresh, path)  # of two processes that start at once, one wins and both read its secret
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose; they tell nothing about the secret or another purpose's."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def role_password(secret: bytes, role: str) -> str:
    return derive(secret, f"database role {role}").hex()


def role_url(owner_url: str, secret: bytes, role: str) -> str:
    """How a login role reaches the owner's database."""
    parts = urlsplit(owner_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{role_password(secret, role)}@{address}"))


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)
