"""Webhooks as they arrive: signed, the same id at every attempt; and where none may go."""

import hashlib
import hmac
import json
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from hesper_cloud.delivery.addresses import found, is_outside, may_reach
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import Message
from hesper_cloud.delivery.targets import config_of
from hesper_cloud.delivery.webhooks import MOST_OCTETS, Poster
from hesper_cloud.rules.alerts import Subject
from pydantic import ValidationError

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)
SECRET = "a webhook's secret"


def config(hook, authority, **changes) -> dict:
    return {"kind": "webhook", "url": hook.url, "ca": authority.pem} | changes


def post(wanted: dict, networks=LOOPBACK, timeout_s: float = 30) -> str:
    poster = Poster(timeout_s, lambda: NOON, networks)
    return poster.send(config_of(wanted), SECRET, Message("an-id", "test", NOON))


def test_an_alert_arrives_signed(house, hook, authority):
    house.route(house.target(config(hook, authority), SECRET))
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Cover\r\n opened.")
    house.turn(11)
    ((path, headers, body),) = hook.arrived
    assert path == "/alerts?from=hesper"
    signed = headers["hesper-timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["hesper-signature"] == f"v1={expected}"
    assert headers["hesper-timestamp"] == str(int(house.now.timestamp()))
    told = json.loads(body)
    assert headers["idempotency-key"] == told["id"] == house.outbox()[0].message_id
    assert (told["kind"], told["version"], told["severity"]) == ("alert", 1, "critical")
    (entry,) = told["entries"]
    assert (entry["what"], entry["rule"], entry["meter"], entry["area"]) == (
        "raised", "tamper.cover", "M1", "Harbour",
    )  # fmt: skip


def test_what_fails_comes_again_later_under_the_same_id(house, hook, authority):
    house.route(house.target(config(hook, authority), SECRET))
    hook.answers = [(503, {}, b""), (429, {"Retry-After": "300"}, b"")]
    house.alerts.raise_(Subject("voltage", meter="M1"), "warning", "Low.")
    house.turn(11)
    house.turn(1)  # it rests
    assert len(hook.arrived) == 1
    house.turn(house.settings.delivery.retry_s)
    house.turn(299)
    assert len(hook.arrived) == 2
    house.turn(2)
    assert len({headers["idempotency-key"] for _, headers, _ in hook.arrived}) == 1
    assert len({body for _, _, body in hook.arrived}) == 1
    assert [(each.outcome, each.answer) for each in house.attempts()] == [
        ("failed", "answered 503"),
        ("failed", "answered 429"),
        ("sent", "204"),
    ]
    assert [(each.state, each.attempts) for each in house.outbox()] == [("sent", 3)]


def test_redirects_are_not_followed_and_long_answers_not_read(hook, authority):
    inside = "http://127.0.0.1:1/steal"
    hook.answers = [(302, {"Location": inside}, b""), (500, {}, bytes(MOST_OCTETS * 4))]
    with pytest.raises(NotDelivered, match="302; redirects are not followed"):
        post(config(hook, authority))
    with pytest.raises(NotDelivered, match="500 and more than anybody reads"):
        post(config(hook, authority))


def test_a_server_that_drips_is_cut_off():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not over.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NotDelivered, match="no whole answer within"):
            post({"kind": "webhook", "url": url}, timeout_s=0.3)
        over.set()
        thread.join()


def test_a_certificate_that_nobody_we_trust_signed_ends_it(hook, authority):
    with pytest.raises(NotDelivered, match="no TLS"):
        post(config(hook, authority, ca=""))
    assert hook.arrived == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "2002:0a00:0001::1",
    ],
)  # fmt: skip
def test_nothing_inside_is_reached(address):
    assert not is_outside(ip_address(address))
    assert not may_reach(ip_address(address), ())


def test_what_is_outside_is_reached_and_of_our_own_what_is_named():
    for address in ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"):
        assert may_reach(ip_address(address), ())
    own = (ip_network("10.1.0.0/16"),)
    assert may_reach(ip_address("10.1.2.3"), own)
    assert may_reach(ip_address("::ffff:10.1.2.3"), own)
    assert not may_reach(ip_address("10.2.2.3"), own)
    assert not may_reach(ip_address("8.8.8.8"), own, own_only=True)


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1"]
)
def test_a_name_is_judged_by_what_it_means(host):
    with pytest.raises(NotDelivered, match=r"internal address|has no address"):
        found(host, 80, ())


def test_one_internal_address_among_others_is_enough_to_refuse(monkeypatch):
    def two(*_: object, **__: object) -> list:
        return [(2, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(NotDelivered, match="internal address"):
        found("rebinding.example", 443, ())


def test_without_tls_only_what_is_ours_is_reached(monkeypatch):
    outside = [(2, 1, 6, "", ("8.8.8.8", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: outside)
    with pytest.raises(NotDelivered, match="not of our own network"):
        post({"kind": "webhook", "url": "http://example.com/"})


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "https://", "https://me:pw@example.com/",
        "https://example.com/\r\nX-Header: 1", "https://example.com/a b", "https://example.com:x/",
        "https://exämple.com/", "https://example.com/#here", "gopher://example.com", "/alerts",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_no_target(url):
    with pytest.raises(ValidationError):
        config_of({"kind": "webhook", "url": url})
