"""Mails on their way: into a folder, to a mail server, and kept until they are taken."""

import email
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path
from uuid import UUID

import pytest

from adapters.mail.file import FileMailer
from adapters.mail.smtp import SmtpMailer
from commands.identity_ports import Mail
from domain.ids import AccountId
from services.mailing import Mailing
from services.ports.mailing import ATTEMPTS, Due, MailerError
from tests.mail.smtp import smtp_server

FROM = "Studio <studio@example.org>"


def now() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


def written(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def mail(to: str = "ann@example.com", number: int = 1) -> Mail:
    return Mail(
        id=UUID(int=number),
        account=AccountId(UUID(int=2)),
        to=to,
        subject="Größe",
        body="A line.\n.\nÜber.\n",
    )


async def test_a_mail_is_written_into_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    for _ in range(2):  # sent twice it is one
        await FileMailer(folder, FROM, now).send(mail())
    (file,) = written(folder)
    assert file.stat().st_mode & 0o077 == 0
    read = email.message_from_bytes(file.read_bytes(), policy=default)
    assert (read["To"], read["From"], read["Subject"]) == ("ann@example.com", FROM, "Größe")
    assert read.get_content().splitlines() == ["A line.", ".", "Über."]
    assert read["Message-ID"] == "<00000000-0000-0000-0000-000000000001@example.org>"


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "mails").write_text("a file")
    with pytest.raises(MailerError):
        await FileMailer(tmp_path / "mails", FROM, now).send(mail())


@pytest.mark.parametrize(
    "to",
    [
        "a,b@example.com",
        "a@example.com\r\nBcc: all@example.com",
        "<a@example.com>, b@example.com",
        "a b@c",
        "",
    ],
)
async def test_an_address_that_is_several_or_none_is_refused(tmp_path: Path, to: str) -> None:
    with pytest.raises(MailerError):
        await FileMailer(tmp_path, FROM, now).send(mail(to))
    assert written(tmp_path) == []


async def test_a_mail_is_handed_to_a_server() -> None:
    async with smtp_server() as server:
        await SmtpMailer(server.url, FROM, now).send(mail())
        assert "rcpt TO:<ann@example.com>" in server.said
        assert any(line.startswith("mail FROM:<studio@example.org>") for line in server.said)
        (got,) = server.mails
        assert "To: ann@example.com" in got


async def test_a_server_that_refuses_or_is_away_is_told() -> None:
    async with smtp_server() as server:
        server.refuses = True
        with pytest.raises(MailerError):
            await SmtpMailer(server.url, FROM, now).send(mail())
    with pytest.raises(MailerError):
        await SmtpMailer(server.url, FROM, now).send(mail())


async def test_a_password_is_never_sent_where_anybody_could_read_it() -> None:
    async with smtp_server() as server:
        with pytest.raises(MailerError):
            await SmtpMailer(server.url.replace("://", "://studio:secret@"), FROM, now).send(mail())
        assert not any(line.startswith("AUTH") for line in server.said)
        assert server.mails == []


class Box:
    """The Outbox of one mail."""

    def __init__(self, attempts: int) -> None:
        self.due: Due | None = Due(UUID(int=1), mail(), attempts)

    async def next(self) -> Due | None:
        return self.due

    async def done(self, id: UUID) -> None:
        self.due = None


@pytest.mark.parametrize(("attempts", "kept"), [(1, True), (ATTEMPTS - 1, True), (ATTEMPTS, False)])
async def test_what_was_not_taken_is_kept_until_it_is_given_up(
    tmp_path: Path, attempts: int, kept: bool
) -> None:
    (tmp_path / "mails").write_text("a file")
    box = Box(attempts)
    assert await Mailing(box, FileMailer(tmp_path / "mails", FROM, now)).send_one()
    assert (box.due is not None) == kept


class Broken:
    """A mailer with a fault that nobody thought of."""

    async def send(self, mail: Mail) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize(("attempts", "kept"), [(1, True), (ATTEMPTS, False)])
async def test_what_fails_in_an_unknown_way_is_given_up_as_well(attempts: int, kept: bool) -> None:
    box = Box(attempts)
    assert await Mailing(box, Broken()).send_one()
    assert (box.due is not None) == kept


async def test_what_was_taken_is_done(tmp_path: Path) -> None:
    box = Box(1)
    sending = Mailing(box, FileMailer(tmp_path / "mails", FROM, now))
    assert await sending.send_one()
    assert not await sending.send_one()
