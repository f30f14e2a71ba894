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

PREFIX = "COMFYPLUS_"
ELSEWHERE = {"comfyui_url": "COMFYUI_URL"}  # the name other tools around ComfyUI use
MIB = 2**20

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=366 * 86_400)]
Url: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+]*://\S+$")]
HttpUrl: TypeAlias = Annotated[str, Meta(pattern=r"^https?://\S+$")]


class SettingsError(Exception):
    """One or more settings are wrong; the message has a line for each."""


class Settings(Struct, frozen=True, kw_only=True):
    data: Annotated[Path, Meta(description="The folder that holds everything this program keeps.")] = Path(
        ".data"
    )

    database_url: Annotated[Url | None, Meta(description="The owner's PostgreSQL URL; unset: embedded.")] = (
        None
    )
    app_database_url: Annotated[
        Url | None, Meta(description="Instead of the derived URL of comfyplus_app.")
    ] = None
    project_database_url: Annotated[Url | None, Meta(description="Instead of that of comfyplus_project.")] = (
        None
    )
    query_database_url: Annotated[Url | None, Meta(description="Instead of that of comfyplus_query.")] = None
    dispatch_database_url: Annotated[
        Url | None, Meta(description="Instead of that of comfyplus_dispatch.")
    ] = None
    relay_database_url: Annotated[Url | None, Meta(description="Instead of that of comfyplus_relay.")] = None

    nats_url: Annotated[
        Url | None, Meta(description="NATS with APP's user and password in it; unset: embedded.")
    ] = None
    nats_exec_url: Annotated[
        Url | None, Meta(description="NATS with the executor's name and password in it.")
    ] = None

    comfyui_url: Annotated[HttpUrl | None, Meta(description="The ComfyUI to drive; unset: the sandbox.")] = (
        None
    )
    backend: Annotated[
        str, Meta(description="The name that ComfyUI gets.", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    ] = "local"
    executor: Annotated[
        str, Meta(description="The name of this machine's executor.", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    ] = "local"

    host: Annotated[str, Meta(description="The address the API listens on.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(description="The API's port; 0: any free one.", ge=0, le=65_535)] = 8400
    public_url: Annotated[
        HttpUrl | None, Meta(description="How people reach the API; unset: host and port.")
    ] = None
    api_url: Annotated[
        HttpUrl | None, Meta(description="How executors reach the API; unset: host and port.")
    ] = None

    secret: Annotated[
        str | None,
        Meta(description="What all keys are derived from; unset: made once in <data>/secret.", min_length=32),
    ] = None
    access_token_s: Annotated[Seconds, Meta(description="How long an access token opens doors.")] = 900
    refresh_token_s: Annotated[
        Seconds, Meta(description="How long one may stay away without logging in.")
    ] = 30 * 86_400

    lease_s: Annotated[Seconds, Meta(description="An executor silent for this long loses its run.")] = 45
    beat_s: Annotated[Seconds, Meta(description="How often an executor says that it lives.")] = 10
    sweep_s: Annotated[Seconds, Meta(description="How often dispatch looks for lost runs.")] = 2
    retry_pause_s: Annotated[
        Seconds, Meta(description="Before the first retry of a run; doubles with each.")
    ] = 5
    retries: Annotated[int, Meta(description="How often a lost run is tried again.", ge=0, le=20)] = 3
    run_timeout_s: Annotated[int, Meta(description="How long a run may take.", ge=1, le=7 * 86_400)] = 300

    max_graph_bytes: Annotated[int, Meta(description="The largest graph taken.", ge=1024, le=64 * MIB)] = (
        8 * MIB
    )
    max_object_bytes: Annotated[int, Meta(description="The largest output taken.", ge=MIB)] = 1024 * MIB
    max_image_pixels: Annotated[
        int, Meta(description="The largest picture thumbnails are made of.", ge=MIB)
    ] = 256 * MIB

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="What to log.")] = (
        "info"
    )

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
    path = settings.data / "secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"secret.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(fresh, path)  # of two processes that start at once, one wins and both read its secret
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip().encode()


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
