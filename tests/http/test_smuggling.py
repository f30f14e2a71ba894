"""What a body must not decide is refused wherever it is smuggled in: rights, owners, ids, quotas."""

from typing import Any
from uuid import uuid4

import pytest

from tests.http.log import deeds
from tests.http.person import GRAPH, PASSWORD, Person
from tests.http.problems import refused
from tests.http.whole import Whole

SMUGGLED: dict[str, Any] = {
    "role": "admin",
    "id": str(uuid4()),
    "account": str(uuid4()),
    "owner": str(uuid4()),
    "suspended": False,
    "epoch": 0,
    "weight": 100.0,
    "queued": 10_000,
    "email_confirmed": True,
    "has_password": False,
    "password_hash": "x",
    "by": str(uuid4()),
    "actor": "dispatch",
    "session": str(uuid4()),
    "scopes_": ["write"],
    "__class__": "admin",
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/auth/register"): {"username": "smuggler", "email": "s@example.org", "password": PASSWORD},
    ("POST", "/auth/login"): {"login": "smuggler", "password": PASSWORD},
    ("POST", "/auth/password"): {"password": PASSWORD, "new_password": PASSWORD},
    ("POST", "/auth/email"): {"password": PASSWORD, "email": "s@example.org"},
    ("POST", "/auth/totp"): {"password": PASSWORD},
    ("POST", "/auth/oidc/link"): {"password": PASSWORD},
    ("PATCH", "/accounts/me"): {"bio": "A smuggler."},
    ("POST", "/api-keys"): {"name": "bot", "scopes": ["read"]},
    ("POST", "/workflows"): {"name": "Mine", "graph": GRAPH},
    ("POST", "/presets"): {"name": "Mine"},
    ("POST", "/webhooks"): {"url": "https://example.org/hook"},
}


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_decides_nothing_else(served: Whole, ann: Person, method: str, path: str) -> None:
    before = deeds(served)
    body = BODIES[method, path]
    extra = {name: value for name, value in SMUGGLED.items() if name not in body}
    problem = refused(await ann.ask(method, path, json=body | extra), 422)
    assert {error["field"] for error in problem["errors"]} <= set(extra)
    for name in ("role", "id"):
        refused(await ann.ask(method, path, json=body | {name: SMUGGLED[name]}), 422)
    assert deeds(served) == before
    refused(await ann.ask("GET", "/admin/accounts"), 403)
