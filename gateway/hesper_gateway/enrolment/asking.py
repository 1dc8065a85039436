"""The one request to the head end, over TLS, with the standard library alone.

No redirect is followed and no proxy asked: the token goes to the address that a person typed. Plain
http is for a head end on this very machine, where nobody can listen in between.
"""

import base64
import http.client
import ipaddress
import json
import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from hesper_gateway.broker_link import reason
from hesper_gateway.errors import ConfigError, GatewayError

ADDRESS = "/api/v1/enrolment"
_TIMEOUT_S = 30
_MOST_OCTETS = 8 * 1024 * 1024


class EnrolmentFailed(GatewayError):
    """The head end said no, could not be reached, or is not the one that made the token."""


def post(head_end: str, token: str, ask: bytes, authority: Path | None = None) -> bytes:
    """Return what the head end answers to an ask.

    Args:
        head_end: Its address, ``https://…``.
        token: As it was handed over.
        ask: As the device signed it.
        authority: Certificates to trust instead of the system's.

    Raises:
        ConfigError: no such address, or plain http to another machine.
        EnrolmentFailed: it says no, or does not answer; the text says which.
    """
    url = urlsplit(head_end)
    body = json.dumps({"token": token, "ask": base64.b64encode(ask).decode("ascii")})
    try:
        connection = _connection(url, authority)
        try:
            path = url.path.rstrip("/") + ADDRESS
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            octets = response.read(_MOST_OCTETS)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        why = reason(error) or type(error).__name__
        raise EnrolmentFailed(f"{head_end}: {why}; try again") from error
    if response.status != http.client.OK:
        raise EnrolmentFailed(f"{head_end} says: {_reason(response.status, octets)}")
    return octets


def _connection(url: SplitResult, authority: Path | None) -> http.client.HTTPConnection:
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.scheme not in ("https", "http"):
        raise ConfigError("the head end's address looks like https://hes.example.org")
    if url.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise ConfigError(f"{authority}: no certificates: {error}") from error
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    if not _is_here(host):
        raise ConfigError("plain http is for a head end on this machine; write https://")
    return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(status: int, octets: bytes) -> str:
    """Return the detail of a problem document (RFC 9457), or what there is instead."""
    try:
        return str(json.loads(octets)["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"
