"""A second factor at the door, and at rest."""

import base64
from datetime import UTC, datetime, timedelta

import psycopg

from domain.totp import STEP_S, code_of, step_at
from tests.http.person import PASSWORD, Person
from tests.http.problems import refused
from tests.http.whole import Whole


async def test_a_code_is_asked_for_and_taken_once(served: Whole, ann: Person) -> None:
    refused(await ann.ask("POST", "/auth/totp", json={"password": "wrong one"}), 403)
    begun = await ann.post("/auth/totp", {"password": PASSWORD})
    assert begun["uri"].startswith(f"otpauth://totp/ComfyUI%20Plus%3A{ann.name}?secret={begun['secret']}&")
    secret = base64.b32decode(begun["secret"])
    with psycopg.connect(served.database.url) as connection:
        row = connection.execute(
            "SELECT sealed FROM work.factors WHERE id = %s", (begun["factor"],)
        ).fetchone()
    assert row is not None
    assert secret not in bytes(row[0])

    def code(steps: int) -> str:
        return code_of(secret, step_at(datetime.now(UTC) + timedelta(seconds=steps * STEP_S)))

    first = code(0)
    codes = (await ann.post("/auth/totp/on", {"factor": begun["factor"], "code": first}))["recovery_codes"]
    login = {"login": ann.name, "password": PASSWORD}
    needed = refused(await ann.ask("POST", "/auth/login", json=login), 401)
    assert needed["type"] == "urn:comfyplus:problem:code-needed"
    refused(await ann.ask("POST", "/auth/login", json=login | {"code": first}), 401)
    await ann.post("/auth/login", login | {"code": code(1)})  # a step ahead of us: the next one, in any case
    await ann.post("/auth/login", login | {"code": codes[0]})
    refused(await ann.ask("POST", "/auth/login", json=login | {"code": codes[0]}), 401)
    assert (await ann.get("/auth/me"))["second_factor"]
    off = {"password": PASSWORD, "code": codes[1]}
    assert (await ann.ask("DELETE", "/auth/totp", json=off)).status_code == 200
    await ann.log_in()
