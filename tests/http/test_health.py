"""Is it alive, is it of use."""

from tests.http.person import Person


async def test_a_healthy_whole_says_so(nobody: Person) -> None:
    for path in ("/health", "/health/ready"):
        answer = await nobody.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_every_part_is_looked_at(ann: Person) -> None:
    await ann.workflow()
    detailed = (await ann.http.get("/health/detailed")).json()
    assert detailed["status"] == "ok"
    assert {"log", "nats", "read models"} <= detailed["parts"].keys()
    assert {part["status"] for part in detailed["parts"].values()} == {"ok"}
    for name in ("workflow_shelf", "gallery", "run_status", "audit_trail"):
        assert name in detailed["parts"]["read models"]["detail"]


async def test_health_tells_strangers_no_secrets(nobody: Person) -> None:
    told = (await nobody.http.get("/health/detailed")).text
    for secret in ("postgres", "password", "127.0.0.1", "/tmp", "comfyplus_app"):
        assert secret not in told
