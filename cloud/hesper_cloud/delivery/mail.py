"""Mail: one message to all recipients of a target, over STARTTLS or TLS (RFC 3207, RFC 8314).

The server's certificate is checked; a server that does not offer STARTTLS where it is asked for
gets neither password nor mail. The ``Message-ID`` is the same at every attempt.
"""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from hesper_cloud.delivery.addresses import Networks, at_most, connected
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import Message
from hesper_cloud.delivery.targets import Email
from hesper_cloud.worded import worded

MOST_ATTACHED = 8 * 1024 * 1024  # octets; larger reports are fetched from the console
_READY = 220
_TYPES = {".pdf": ("application", "pdf"), ".csv": ("text", "csv")}


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends to mail servers."""

    timeout_s: float
    reachable: Networks = field(default=())
    state: Path = Path()  # the folder in which files of reports lie

    def send(self, target: Email, secret: str, message: Message) -> str:
        """Hands a message to the server; returns what it answered.

        Raises:
            NotDelivered: it did not take it, for any recipient at all.
        """
        try:
            session = self._session(target)
            try:
                with at_most(self.timeout_s * 3, lambda: session.sock):
                    return self._hand_over(session, target, secret, message)
            finally:
                _leave(session)
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(
                worded("the mail server refused with {smtp_code}", smtp_code=error.smtp_code)
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise NotDelivered(
                worded("every recipient was refused with {codes}", codes=codes)
            ) from None
        except ssl.SSLError as error:
            raise NotDelivered(
                worded("no TLS with the mail server: {reason}", reason=error.reason)
            ) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(
                worded("the mail server: {name}", name=type(error).__name__)
            ) from None

    def _session(self, target: Email) -> smtplib.SMTP:
        session = _Session(self, target)
        code, _ = session.connect(target.host, target.port)
        if code != _READY:
            session.close()
            raise NotDelivered(worded("the mail server refused with {code}", code=code))
        return session

    def _hand_over(
        self, session: smtplib.SMTP, target: Email, secret: str, message: Message
    ) -> str:
        session.ehlo_or_helo_if_needed()
        if target.security == "starttls":
            if not session.has_extn("starttls"):
                raise NotDelivered("the mail server does not offer STARTTLS")
            session.starttls(context=target.context())
        if target.username:
            session.login(target.username, secret)
        mail = composed(target, message)
        if message.report is not None:
            attach(mail, self.state, message.report.files)
        refused = session.send_message(mail, target.sender, list(target.recipients))
        if refused:
            return f"taken, but for {len(refused)} of {len(target.recipients)} recipients"
        return "taken"


class _Session(smtplib.SMTP):
    """A session over a connection to an address that was looked at."""

    def __init__(self, mailer: Mailer, target: Email) -> None:
        own_name = target.sender.rpartition("@")[2]
        super().__init__(local_hostname=own_name, timeout=mailer.timeout_s)
        self._mailer = mailer
        self._target = target
        self._host = target.host  # whose certificate STARTTLS checks

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        raw = connected(host, port, timeout, self._mailer.reachable)
        if self._target.security != "tls":
            return raw
        try:
            return self._target.context().wrap_socket(raw, server_hostname=host)
        except OSError:
            raw.close()
            raise


def _leave(session: smtplib.SMTP) -> None:
    """Says goodbye to a server that still listens, and closes."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        session.quit()
    session.close()


def composed(target: Email, message: Message) -> EmailMessage:
    """Returns the mail: plain text, with HTML beside it."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = message.subject()
    mail["From"] = _address(target.sender)
    mail["To"] = [_address(each) for each in target.recipients]
    mail["Date"] = format_datetime(message.made_at)
    mail["Message-ID"] = f"<{message.id}@{target.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    mail.set_content(message.text())
    mail.add_alternative(message.html(), subtype="html")
    return mail


def attach(mail: EmailMessage, state: Path, files: Sequence[str]) -> None:
    """Attaches files, as many of them as a mail server may be expected to take."""
    left = MOST_ATTACHED
    for name in files:
        path = state / name
        try:
            octets = path.read_bytes() if path.stat().st_size <= left else b""
        except FileNotFoundError:  # the clean-up took it meanwhile
            continue
        if octets:
            left -= len(octets)
            kind = _TYPES[path.suffix]
            mail.add_attachment(octets, *kind, filename=path.name)


def _address(written: str) -> Address:
    name, _, domain = written.rpartition("@")
    return Address(username=name, domain=domain)
