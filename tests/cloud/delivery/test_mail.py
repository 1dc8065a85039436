"""Mail as it arrives at a real server: over TLS, logged in, escaped, never with foreign headers."""

from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.mail import Mailer
from hesper_cloud.delivery.messages import Message
from hesper_cloud.delivery.targets import config_of
from hesper_cloud.rules.alerts import Subject
from pydantic import ValidationError

USERNAME, PASSWORD = "hesper@example.com", "a mail server's password"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
EVIL = (
    "Cover\r\nBcc: thief@evil.example\r\n\r\n"
    "<script>alert('x')</script> \u202e\x00opened & \x1b[31m"
)


def config(mail, authority, **changes) -> dict:
    return {
        "kind": "email",
        "host": "127.0.0.1",
        "port": mail.port,
        "security": "starttls",
        "username": USERNAME,
        "sender": "hesper@example.com",
        "recipients": ["shift@example.com", "boss@example.com"],
        "ca": authority.pem,
    } | changes


def test_an_alert_arrives_as_one_mail_over_starttls(house, mail, authority):
    house.route(house.target(config(mail, authority), PASSWORD))
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Cover opened.")
    house.turn(1)
    assert house.outbox() == []  # it may still give way to a greater one
    house.turn(10)
    envelope, arrived = mail.server.next()
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "hesper@example.com",
        ["shift@example.com", "boss@example.com"],
    )
    assert arrived["Subject"] == "[Hesper] critical raised: Cover opened."
    (sent,) = house.outbox()
    assert arrived["Message-ID"] == f"<{sent.message_id}@example.com>"
    assert arrived["Auto-Submitted"] == "auto-generated"
    lines = arrived.get_body(("plain",)).get_content().splitlines()
    assert lines[0] == "CRITICAL raised: Cover opened."
    assert {"  Meter: M1", "  Area: Harbour"} <= set(lines)
    assert (sent.state, sent.attempts) == ("sent", 1)
    house.turn(60)
    assert mail.server.arrived.empty()


def test_the_end_of_an_alert_is_told_where_its_beginning_was(house, mail, authority):
    house.route(house.target(config(mail, authority), PASSWORD))
    subject = Subject("voltage", meter="M1")
    house.alerts.raise_(subject, "warning", "Low.")
    house.turn(11)
    mail.server.next()
    house.alerts.clear(subject)
    house.turn(11)
    assert mail.server.next()[1]["Subject"] == "[Hesper] warning cleared: Low."
    house.alerts.raise_(subject, "warning", "Low again.")
    house.alerts.clear(subject)  # over before anybody was told
    house.turn(11)
    assert len(house.outbox()) == 2


def test_what_meters_say_is_shown_as_text_and_never_becomes_a_header(house, mail, authority):
    house.route(house.target(config(mail, authority), PASSWORD))
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", EVIL)
    house.turn(11)
    envelope, arrived = mail.server.next()
    assert envelope.rcpt_tos == ["shift@example.com", "boss@example.com"]
    assert set(arrived.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
        "Content-Type",
    }  # fmt: skip
    shown = "Cover Bcc: thief@evil.example <script>alert('x')</script> opened & [31m"
    assert arrived["Subject"] == f"[Hesper] critical raised: {shown}"
    html = arrived.get_body(("html",)).get_content()
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; opened &amp;" in html
    assert "<script" not in html
    lines = arrived.get_body(("plain",)).get_content().splitlines()
    assert lines[0] == f"CRITICAL raised: {shown}"


def test_many_at_once_come_in_one_mail(house, mail, authority):
    house.route(house.target(config(mail, authority), PASSWORD), digest_above=3)
    for n in range(10):
        severity = "critical" if n == 7 else "warning"
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), severity, f"T{n}")
    house.turn(11)
    arrived = mail.server.next()[1]
    assert arrived["Subject"] == "[Hesper] 10 alerts, worst critical: T7"
    text = arrived.get_body(("plain",)).get_content()
    assert text.index("T7") < text.index("T0")
    assert [each.kind for each in house.outbox()] == ["digest"]


def test_over_tls_from_the_start(house, mail_over_tls, authority):
    house.route(house.target(config(mail_over_tls, authority, security="tls", username="")))
    house.alerts.raise_(Subject("voltage", meter="M1"), "warning", "Low.")
    house.turn(11)
    assert mail_over_tls.server.next()[1]["Subject"] == "[Hesper] warning raised: Low."


def send(wanted: dict, secret: str = PASSWORD, networks=LOOPBACK) -> str:
    return Mailer(30, networks).send(config_of(wanted), secret, Message("an-id", "test", NOON))


def test_a_server_that_does_not_know_us_gets_no_mail(mail, authority):
    assert send(config(mail, authority)) == "taken"
    mail.server.next()
    with pytest.raises(NotDelivered, match="refused with 535"):
        send(config(mail, authority), "another password")
    with pytest.raises(NotDelivered, match="no TLS"):
        send(config(mail, authority, ca=""))  # nobody we trust signed its certificate
    with pytest.raises(NotDelivered, match="internal address"):
        send(config(mail, authority), networks=())
    mail.server.refuse = "552 full"
    with pytest.raises(NotDelivered, match="refused with 552"):
        send(config(mail, authority))
    assert mail.server.arrived.empty()


def test_neither_password_nor_mail_goes_to_a_server_without_starttls(plain_mail_port):
    plain = {
        "kind": "email",
        "host": "127.0.0.1",
        "port": plain_mail_port,
        "sender": "hesper@example.com",
        "recipients": ["shift@example.com"],
    }
    with pytest.raises(NotDelivered, match="does not offer STARTTLS"):
        send(plain | {"username": USERNAME})
    assert send(plain | {"security": "none"}, "") == "taken"


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "a@example.com\r\nBcc: b@example.com"},
        {"recipients": ["a@example.com\nTo: b@example.com"]},
        {"recipients": ["a@example.com\n"]},
        {"sender": "a@example.com\n"},
        {"host": "mail.example.com\n"},
        {"recipients": ["Somebody <a@example.com>"]},
        {"recipients": []},
        {"recipients": ["a@example.com,b@example.com"]},
        {"host": "example.com\r\nRCPT"},
        {"username": "me\r\nMAIL"},
        {"security": "none"},  # with a password
        {"ca": "no certificate"},
        {"port": 0},
    ],
)
def test_what_is_no_address_is_no_target(changes):
    sound = {
        "kind": "email",
        "host": "mail.example.com",
        "username": "me",
        "sender": "hesper@example.com",
        "recipients": ["shift@example.com"],
    }
    config_of(sound)
    with pytest.raises(ValidationError):
        config_of(sound | changes)
