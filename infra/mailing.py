"""Who sends mails: a mail server where one is named, else a folder."""

from adapters.identity.mail_box import MailBox
from adapters.postgres.mails import PostgresMails
from infra.settings import Settings, load_secret
from infra.wiring import needed, now, pool
from services.mailing import Mailing
from services.ports.mailing import Mailer


async def mailing(settings: Settings) -> None:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with pool(url, size=2) as connections:
        await Mailing(PostgresMails(connections, MailBox(load_secret(settings))), mailer(settings)).run()


def mailer(settings: Settings) -> Mailer:
    if settings.mail_url is None:
        from adapters.mail.file import FileMailer

        return FileMailer(settings.data / "mails", settings.mail_from, now)
    from adapters.mail.smtp import SmtpMailer

    return SmtpMailer(settings.mail_url, settings.mail_from, now)
