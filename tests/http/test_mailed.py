"""Another password and a confirmed address, by mail."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from adapters.identity.mail_box import MailBox, UnreadableError
from adapters.mail.file import FileMailer
from adapters.postgres.mails import PostgresMails
from commands.identity_ports import Mail
from infra.settings import load_secret
from infra.wiring import now, pool
from services.mailing import Mailing
from services.ports.mailing import ATTEMPTS
from tests.http.person import PASSWORD, Person, somebody
from tests.http.problems import refused
from tests.http.whole import Whole, another_api

NEW = "another correct horse"


async def mailed(served: Whole, folder: Path, person: Person, email: str | None = None) -> str:
    """The token in the mail that was sent to them, as `comfyplus errands` sends it."""
    box = MailBox(load_secret(served.settings))
    async with pool(served.database.url_of("comfyplus_app"), size=1) as connections, asyncio.timeout(20):
        sending = Mailing(PostgresMails(connections, box), FileMailer(folder, "us@example.org", now))
        while True:
            await sending.send_one()
            if (text := found(folder, email or person.email)) is not None:
                (token,) = re.findall(r": ([A-Za-z0-9_-]{43})\n", text)
                return str(token)
            await asyncio.sleep(0.02)


def found(folder: Path, email: str) -> str | None:
    texts = [file.read_text() for file in folder.glob("*.eml")]
    return next((text for text in texts if f"To: {email}" in text), None)


async def test_a_forgotten_password_is_replaced_by_mail(served: Whole, ann: Person, tmp_path: Path) -> None:
    asked = {"email": ann.email.upper()}
    told = await ann.ask("POST", "/auth/password/forgotten", json=asked)
    unknown = await ann.ask("POST", "/auth/password/forgotten", json={"email": f"x{ann.email}"})
    assert (told.status_code, told.json()) == (unknown.status_code, unknown.json()) == (202, {"mailed": True})
    token = await mailed(served, tmp_path, ann)
    refused(
        await ann.ask("POST", "/auth/password/reset", json={"token": token, "new_password": "short"}), 422
    )
    for _ in range(2):  # the same request, sent twice
        key = {"Idempotency-Key": f"reset {token[:8]}"}
        await ann.post("/auth/password/reset", {"token": token, "new_password": NEW}, headers=key)
    refused(await ann.ask("GET", "/auth/me"), 401)
    refused(await ann.ask("POST", "/auth/login", json={"login": ann.name, "password": PASSWORD}), 401)
    await ann.post("/auth/login", {"login": ann.name, "password": NEW})
    refused(await ann.ask("POST", "/auth/password/reset", json={"token": token, "new_password": NEW}), 401)


async def test_an_address_is_confirmed_by_mail(served: Whole, ann: Person, tmp_path: Path) -> None:
    assert not (await ann.get("/auth/me"))["email_confirmed"]
    assert await ann.post("/auth/email/confirmation") == {"mailed": True}
    token = await mailed(served, tmp_path, ann)
    await ann.post("/auth/email/confirm", {"token": token})
    assert (await ann.get("/auth/me"))["email_confirmed"]
    refused(await ann.ask("POST", "/auth/email/confirm", json={"token": token}), 401)


async def test_where_addresses_are_confirmed_nobody_learns_whose_they_are(
    served: Whole, ann: Person, tmp_path: Path
) -> None:
    """By joining, by changing one's own, by asking for a mail, by logging in."""
    careful = replace(served, settings=replace(served.settings, confirm_addresses=True))
    with another_api(careful) as api:
        told: list[object] = []
        for email in (ann.email, f"free-{uuid4().hex[:8]}@example.org"):
            async with somebody(api) as carl:
                wish = {"username": carl.name, "email": email, "password": NEW}
                joining = await carl.ask("POST", "/auth/register", json=wish)
                assert joining.json()["username"] == carl.name
                login = {"login": carl.name, "password": NEW}
                tokens = await carl.post("/auth/login", login)
                carl.http.headers["authorization"] = f"Bearer {tokens['access_token']}"
                me = await carl.get("/auth/me")
                assert (me["email"], me["email_confirmed"]) == (email, False)
                asked = await carl.ask("POST", "/auth/email/confirmation")
                wrong = await carl.ask("POST", "/auth/login", json=login | {"login": email})
                change = {"password": NEW, "email": email}
                same = await carl.ask("POST", "/auth/email", json=change)
                told.append([each.status_code for each in (joining, asked, wrong, same)])
                told.append([sorted(each.json()) for each in (joining, asked, wrong, same)])
        assert told[:2] == told[2:]
        assert told[0] == [201, 202, 401, 200]
        async with somebody(api) as dora:
            dora.name = carl.name
            token = await mailed(served, tmp_path, carl, email)
            await dora.post("/auth/email/confirm", {"token": token})
            assert (await dora.post("/auth/login", {"login": email, "password": NEW}))["access_token"]
    await ann.post("/auth/login", {"login": ann.email, "password": PASSWORD})


@pytest.mark.parametrize("token", ["", "x" * 300, "no token"])
async def test_what_is_no_token_opens_nothing(nobody: Person, token: str) -> None:
    for path, body in (("password/reset", {"new_password": NEW}), ("email/confirm", {})):
        refused(await nobody.ask("POST", f"/auth/{path}", json={"token": token} | body), 401, 422)


async def test_mails_wait_encrypted_and_tokens_as_hashes(served: Whole, ann: Person, tmp_path: Path) -> None:
    await ann.post("/auth/email/confirmation")
    with psycopg.connect(served.database.url) as connection:
        rows = connection.execute(
            "SELECT m.sealed, t.token_hash FROM work.mails AS m JOIN work.mail_tokens AS t USING (account) "
            "WHERE account = %s",
            (ann.id,),
        ).fetchall()
    ((sealed, token_hash),) = rows
    assert ann.name.encode() not in bytes(sealed)
    token = await mailed(served, tmp_path, ann)
    assert token.encode() not in bytes(sealed)
    assert bytes(token_hash) != token.encode()


async def test_a_mail_that_is_put_off_says_what_it_was_given_last_and_is_one(
    served: Whole, ann: Person
) -> None:
    box, id = MailBox(load_secret(served.settings)), uuid4()
    async with pool(served.database.url_of("comfyplus_app"), size=1) as connections:
        mails = PostgresMails(connections, box)
        for count in (1, 2):
            body = f"Cats: {count}"
            mail = Mail(id=id, account=UUID(ann.id), to=ann.email, subject="News", body=body)
            await mails.put_off(mail, now() + timedelta(days=1))
    with psycopg.connect(served.database.url, autocommit=True) as connection:
        kept = "SELECT sealed, due_at > now() FROM work.mails WHERE id = %s"
        ((sealed, later),) = connection.execute(kept, (id,)).fetchall()
        connection.execute("DELETE FROM work.mails WHERE id = %s", (id,))
    assert (box.open(sealed).body, later) == ("Cats: 2", True)


async def test_a_mail_that_cannot_be_read_is_tried_so_often_only(served: Whole, ann: Person) -> None:
    """Sealed with another secret, say."""
    box, id = MailBox(load_secret(served.settings)), uuid4()
    with psycopg.connect(served.database.url, autocommit=True) as connection:
        values = (id, ann.id, b"not sealed by us", ATTEMPTS - 1)
        connection.execute(
            "INSERT INTO work.mails (id, account, sealed, attempts, due_at) "
            "VALUES (%s, %s, %s, %s, now() - interval '1 year')",
            values,
        )
        async with pool(served.database.url_of("comfyplus_app"), size=1) as connections:
            mails = PostgresMails(connections, box)
            with pytest.raises(UnreadableError):  # it has waited longest
                await mails.next()
            kept = "SELECT attempts FROM work.mails WHERE id = %s"
            assert connection.execute(kept, (id,)).fetchone() == (ATTEMPTS,)
            connection.execute("UPDATE work.mails SET due_at = now() WHERE id = %s", (id,))
            await mails.next()
            assert connection.execute(kept, (id,)).fetchone() is None
