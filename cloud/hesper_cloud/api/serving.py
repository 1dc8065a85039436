"""How the web process listens: by TLS, on loopback alone, or behind a proxy that ends TLS.

A certificate that was renewed on disk counts for new connections without a restart; one that
cannot be read, or whose key is another's, leaves the present one in place and is told of once.
"""

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl

import uvicorn
from cryptography import x509
from starlette.types import ASGIApp

from hesper_cloud.api.limits import Limited, Limits
from hesper_cloud.api.live_rooms import LONGEST
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.api.page_protocol import answering_from
from hesper_cloud.api.proxies import FromProxies
from hesper_cloud.api.socket_protocol import SocketProtocol
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.services.bundle import Services
from hesper_cloud.web_settings import TlsSettings, WebSettings

_log = logging.getLogger(__name__)
_GOODBYE_S = 3
_NOT_OURS = {
    errno.EADDRINUSE: "Does another head end run, or another program on this port? port is",
    errno.EACCES: "A port below 1024 is not for every account. port is",
    errno.EADDRNOTAVAIL: "Write an address of this machine, or 0.0.0.0 for all of them: host is",
}
_MESSAGES_AHEAD = 4  # of one WebSocket, read before they are worked off
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def check(web: WebSettings) -> None:
    """Checks that nobody can listen in on the way to the browser.

    Raises:
        ProvisioningError: plain HTTP beyond loopback; it says what to configure.
    """
    if web.tls is None and not web.behind_proxy and not _is_loopback(web.host):
        raise ProvisioningError(
            f"[web] host = {web.host!r} would speak plain HTTP to the network. Listen on 127.0.0.1,"
            " or give it a certificate ([web.tls] certificate and key; `hesper-cloud ca server"
            " NAME` makes one), or name the proxies that end TLS before it ([web] behind_proxy)"
        )


def check_free(web: WebSettings) -> None:
    """Checks that the address is ours to have, before anything begins; the rest the server says.

    Raises:
        ProvisioningError: somebody listens there, the port is not for everybody, or the host is
            not this machine.
    """
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            web.host, web.port, type=socket.SOCK_STREAM
        ):
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
    except OSError as error:
        is_unknown = isinstance(error, socket.gaierror)
        advice = _NOT_OURS.get(errno.EADDRNOTAVAIL if is_unknown else error.errno or 0)
        if advice is not None:
            raise ProvisioningError(
                f"[web] {web.host}:{web.port}: {error.strerror}. {advice} in cloud.toml"
            ) from None


def configured(
    memory: PageCache, services: Services, certificate: "Certificate | None"
) -> uvicorn.Config:
    """Returns the server's configuration: limits in front, then the memory of pages.

    Raises:
        ProvisioningError: see `check`.
    """
    web = services.sources.settings.web
    check(web)
    limits = Limits(web.limits)
    memory.limits = limits
    front: ASGIApp = Limited(memory, services, limits)
    if web.behind_proxy:
        front = FromProxies(front, web.behind_proxy)
    config = uvicorn.Config(
        front,
        http=answering_from(memory),
        ws=SocketProtocol,
        host=web.host,
        port=web.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=LONGEST,
        ws_max_queue=_MESSAGES_AHEAD,
        timeout_graceful_shutdown=_GOODBYE_S,
    )
    config.load()
    if certificate is not None:
        config.ssl = certificate.context
    return config


class Certificate:
    """The certificate that new connections are shown.

    Attributes:
        own: The server's own, without those above it.
    """

    own: x509.Certificate

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._seen = self._stamp()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = _VERSIONS[settings.minimum]
        self.context.set_alpn_protocols(["http/1.1"])
        self._load(self.context)

    def look(self) -> bool:
        """Takes a certificate that was renewed on disk; says whether it did."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            self._seen = stamp
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # whole, and a pair
            self._load(self.context)
        except (ProvisioningError, OSError) as error:
            _log.error("the renewed certificate is not taken: %s", error)
            return False
        _log.info("certificate %s was renewed", self._settings.certificate)
        return True

    async def watch(self) -> None:
        """Looks now and then, for ever."""
        while True:
            await asyncio.sleep(self._settings.reload_s)
            await asyncio.to_thread(self.look)

    def _stamp(self) -> tuple[int, ...]:
        try:
            stats = [path.stat() for path in (self._settings.certificate, self._settings.key)]
        except OSError as error:
            raise ProvisioningError(f"[web.tls] {error}") from None
        return tuple(number for each in stats for number in (each.st_mtime_ns, each.st_ino))

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._settings.certificate, self._settings.key)
            self.own = x509.load_pem_x509_certificate(self._settings.certificate.read_bytes())
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ProvisioningError(
                f"[web.tls] {self._settings.certificate} and its key cannot be used: {error}"
            ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
