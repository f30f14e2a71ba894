"""Is it alive, is it of use."""

import asyncio
from typing import Any

from tests.http.person import Person


async def test_a_healthy_whole_says_so(nobody: Person) -> None:
    for path in ("/health", "/health/ready"):
        answer = await nobody.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_every_part_is_looked_at(ann: Person) -> None:
    await ann.workflow()
    detailed = await told_of(ann, "workflow_shelf", "gallery", "run_status", "audit_trail")
    assert detailed["status"] == "ok"
    assert {"log", "nats", "read models"} <= detailed["parts"].keys()
    assert {part["status"] for part in detailed["parts"].values()} == {"ok"}


async def told_of(person: Person, *read_models: str) -> dict[str, Any]:
    """Each read model is told of once it has taken in something."""
    async with asyncio.timeout(30):
        while True:
            detailed: dict[str, Any] = (await person.http.get("/health/detailed")).json()
            if all(name in detailed["parts"]["read models"]["detail"] for name in read_models):
                return detailed
            await asyncio.sleep(0.02)


async def test_health_tells_strangers_no_secrets(nobody: Person) -> None:
    told = (await nobody.http.get("/health/detailed")).text
    for secret in ("postgres", "password", "127.0.0.1", "/tmp", "comfyplus_app"):
        assert secret not in told
