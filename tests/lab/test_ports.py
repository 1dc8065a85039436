"""Ports that servers are given: free, never the same one twice, on the whole machine."""

import socket
import subprocess
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hesper_lab import ports
from hesper_lab.ports import accepts, answers, free_port, free_ports

DEADLINE_S = 60.0
SOME = 50
CHOOSE = """
import sys
from hesper_lab import ports
ports._PORTS = range(int(sys.argv[1]), int(sys.argv[2]))
print(ports.free_port(int(sys.argv[3]) if sys.argv[3:] else None))
"""


def of_another_process(*arguments: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHOOSE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)


def test_a_wanted_port_is_given_where_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert accepts(port)
        assert free_port(port) != port
    assert not accepts(port)
    assert free_port(port) == port


def test_no_port_is_given_twice_or_could_belong_to_an_outgoing_connection() -> None:
    some = [free_port() for _ in range(SOME)]
    assert len(set(some)) == SOME
    assert max(some) < 32_768


def test_neighbours_are_free_for_both_transports() -> None:
    for port in free_ports(3):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as server:
                server.bind(("127.0.0.1", port))


def test_another_process_is_not_given_a_port_that_no_server_listens_on_yet() -> None:
    mine = free_ports(2)
    refused = of_another_process(mine.start, mine.stop)
    assert refused.returncode != 0
    assert "no 1 free ports" in refused.stderr
    elsewhere = of_another_process(mine.start, mine.stop + SOME, mine.start)
    assert int(elsewhere.stdout) not in mine


def test_ports_of_a_process_that_ended_are_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(ports, "_PORTS", range(port + 1, port + SOME))
    theirs = int(of_another_process(port + 1, port + SOME).stdout)
    assert free_port(theirs) == theirs


class Site(BaseHTTPRequestHandler):
    """A head end that is well at one address and unwell at all others."""

    def do_GET(self) -> None:
        well = self.path == "/health"
        self.send_response_only(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
        self.end_headers()


def test_only_success_is_an_answer() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert not answers(f"{url}/health")
    with HTTPServer(("127.0.0.1", int(url.rpartition(":")[2])), Site) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        assert answers(f"{url}/health")
        assert not answers(f"{url}/elsewhere")
        server.shutdown()
        serving.join()
