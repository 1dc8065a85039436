"""What tells an engine of containers that a part is well."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from hesper_lab.ports import free_port


@contextmanager
def head_end(status: int, certificate: Path | None) -> Iterator[int]:
    """Answers with a status for the head end, over TLS where there is a certificate; its port."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            # Shaken hands belong to a request's thread, where one that fails holds up nobody.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def asked(root: Path, service: str, *arguments: object) -> int:
    """The exit code of a service's health check as compose.yaml runs it, with other ports."""
    compose = yaml.safe_load((root / "deploy/compose.yaml").read_text())
    _, _, program, *_ = compose["services"][service]["healthcheck"]["test"]
    script = root / "deploy" / Path(program).name
    words = [sys.executable, *map(str, (script, *arguments))]
    return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_head_end_is_well_with_a_certificate_of_its_own_too(
    root: Path, site: Path, scheme: str, status: int, code: int
) -> None:
    certificate = site / "broker/broker.pem" if scheme == "https" else None
    with head_end(status, certificate) as port:
        assert asked(root, "cloud", port) == code


def test_nobody_is_not_well(root: Path) -> None:
    assert asked(root, "cloud", free_port()) == 1


def test_a_link_to_either_listener_of_the_broker_counts(root: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as broker,
        socket.create_connection(broker.getsockname()[:2]),
    ):
        port = broker.getsockname()[1]
        assert asked(root, "gateway", free_port(), port) == 0
        assert asked(root, "gateway", free_port()) == 1


def test_both_listeners_are_asked_for(root: Path) -> None:
    services = yaml.safe_load((root / "deploy/compose.yaml").read_text())["services"]
    for name in ("authority", "gateway"):
        assert services[name]["healthcheck"]["test"][-2:] == ["1883", "8883"]
