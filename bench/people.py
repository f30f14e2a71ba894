"""An account with workflows, made over HTTP as anybody would."""

from typing import Any
from uuid import uuid4

import httpx
from msgspec import Struct

PASSWORD = "correct horse battery staple"


class Person(Struct, frozen=True):
    url: str
    token: str


def join(url: str) -> Person:
    """Register and log in."""
    name = f"ann-{uuid4().hex[:8]}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    httpx.post(f"{url}/api/v1/auth/register", json=body, timeout=30).raise_for_status()
    answer = httpx.post(f"{url}/api/v1/auth/login", json={"login": name, "password": PASSWORD}, timeout=30)
    return Person(url, answer.raise_for_status().json()["access_token"])


def keep(person: Person, graphs: list[dict[str, Any]]) -> list[str]:
    """Store a workflow for each graph; returns their ids."""
    headers = {"Authorization": f"Bearer {person.token}"}
    with httpx.Client(base_url=person.url, headers=headers, timeout=30) as http:
        answers = [
            http.post("/api/v1/workflows", json={"name": "square", "graph": graph}) for graph in graphs
        ]
        return [answer.raise_for_status().json()["id"] for answer in answers]


def square(colour: int, prefix: str = "square") -> dict[str, Any]:
    """A graph that makes a square of 64 pixels and saves it."""
    size = {"width": 64, "height": 64, "batch_size": 1, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }
