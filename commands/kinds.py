"""How each kind of backend is reached: what has to be said of it, and the address and key that come of that."""

import re

from commands.backend_access import Access
from commands.credentials import Bearer, Credentials, accessed
from domain.backend import Kind
from domain.refusals import FieldError, Invalid

RUNPOD_URL = "https://api.runpod.ai/v2"
ENDPOINT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def reached(kind: Kind, *, url: str, endpoint: str, credentials: Credentials | None, private: bool) -> Access:
    """An empty `url`: the provider's own. `private`: it may lead into our own network. Raises Invalid."""
    match kind:
        case Kind.COMFYUI:
            if endpoint:
                raise Invalid("A ComfyUI has no endpoint.", FieldError("endpoint", "Say its url."))
            return accessed(url, credentials, private=private)
        case Kind.RUNPOD:
            if not ENDPOINT.fullmatch(endpoint):
                raise Invalid(
                    "There is no such endpoint.", FieldError("endpoint", "It is the id of an endpoint.")
                )
            if not isinstance(credentials, Bearer):
                raise Invalid(
                    "RunPod is opened by an API key.", FieldError("credentials", "It must be of kind bearer.")
                )
            base = accessed(url or RUNPOD_URL, credentials, private=private)
            return Access(f"{base.url}/{endpoint}", base.header, base.value)


def changed(
    kind: Kind,
    was: Access,
    *,
    url: str | None,
    endpoint: str | None,
    credentials: Credentials | None,
    closed: bool,
    private: bool,
) -> Access:
    """None: as it was. `closed`: nothing opens it from now on. Raises Invalid."""
    match kind:
        case Kind.COMFYUI:
            wanted = reached(
                kind,
                url=url or was.url,
                endpoint=endpoint or "",
                credentials=credentials,
                private=private,
            )
        case Kind.RUNPOD:
            base, _, known = was.url.rpartition("/")
            if closed:
                raise Invalid("RunPod is opened by an API key.", FieldError("credentials", "It needs one."))
            given = credentials or Bearer(token=was.value.removeprefix("Bearer "))
            return reached(
                kind, url=url or base, endpoint=endpoint or known, credentials=given, private=private
            )
    if credentials is None and not closed:
        return Access(wanted.url, was.header, was.value)
    return wanted
