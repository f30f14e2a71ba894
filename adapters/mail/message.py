"""A mail as RFC 5322 has it."""

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from commands.identity_ports import Mail
from commands.ports import Clock
from services.ports.mailing import MailerError


def message(mail: Mail, sender: str, now: Clock) -> EmailMessage:
    """The id is the mail's own: sent twice, it is one. Raises MailerError for an address that cannot be written."""
    made = EmailMessage(policy=SMTP)
    try:
        made["From"], made["To"], made["Subject"] = sender, Address(addr_spec=mail.to), mail.subject
    except (ValueError, IndexError, MessageError) as error:  # it would be several, or break out of its header
        raise MailerError("The address cannot be written into a mail.") from error
    made["Date"] = format_datetime(now())
    made["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2].rstrip('>')}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.body)
    return made
