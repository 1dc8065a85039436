"""Webhooks: JSON by POST, signed, to an address outside.

``Hesper-Signature`` is ``v1=`` and the hex digits of HMAC-SHA256 over ``Hesper-Timestamp``, a full
stop and the body, under the target's secret; a receiver refuses what is minutes old. The same
message has the same ``Idempotency-Key`` at every attempt. Redirects are not followed; of an answer
only its status counts.
"""

import contextlib
import hashlib
import hmac
import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from hesper_cloud.delivery.addresses import Networks, at_most, connected
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import Message
from hesper_cloud.delivery.targets import Webhook
from hesper_cloud.worded import worded

MOST_OCTETS = 65_536
_LONGEST_WAIT_S = 3600
_AGENT = "Hesper"


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Returns the value of ``Hesper-Signature``."""
    signed = f"{timestamp}.".encode("ascii") + body
    return "v1=" + hmac.new(secret.encode("utf-8"), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts to webhooks."""

    timeout_s: float
    clock: Callable[[], datetime]
    reachable: Networks = field(default=())

    def send(self, target: Webhook, secret: str, message: Message) -> str:
        """Posts a message; returns what was answered.

        Raises:
            NotDelivered: the answer was not of the 200s, or there was none.
        """
        parts = urlsplit(target.url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        try:
            # Without TLS only what is our own is reached.
            raw = connected(host, port, self.timeout_s, self.reachable, own_only=not secure)
            with contextlib.closing(raw):
                sock = target.context().wrap_socket(raw, server_hostname=host) if secure else raw
                with contextlib.closing(sock), at_most(self.timeout_s, lambda: sock):
                    exchange = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
                    exchange.sock = sock
                    return self._exchange(exchange, target, secret, message)
        except ssl.SSLError as error:
            raise NotDelivered(
                worded("no TLS with {host}: {reason}", host=host, reason=error.reason)
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotDelivered(
                worded("{host}: {name}", host=host, name=type(error).__name__)
            ) from None

    def _exchange(
        self,
        exchange: http.client.HTTPConnection,
        target: Webhook,
        secret: str,
        message: Message,
    ) -> str:
        parts = urlsplit(target.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body, timestamp = message.document(), int(self.clock().timestamp())
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": _AGENT,
            "Connection": "close",
            "Idempotency-Key": message.id,
            "Hesper-Timestamp": str(timestamp),
            "Hesper-Signature": signature(secret, timestamp, body),
        }
        exchange.request("POST", path, body, headers)
        answer = exchange.getresponse()
        octets = answer.read(MOST_OCTETS + 1)
        if 200 <= answer.status < 300:
            return f"{answer.status}"
        if len(octets) > MOST_OCTETS:
            raise NotDelivered(
                worded("answered {status} and more than anybody reads", status=answer.status)
            )
        if 300 <= answer.status < 400:
            raise NotDelivered(
                worded("answered {status}; redirects are not followed", status=answer.status)
            )
        raise NotDelivered(
            worded("answered {status}", status=answer.status),
            _wait_s(answer.getheader("Retry-After")),
        )


def _wait_s(header: str | None) -> int:
    """Returns how long a server asks to be left alone, as far as that is believed."""
    return min(int(header), _LONGEST_WAIT_S) if header and header.isdecimal() else 0
