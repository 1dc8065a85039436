"""Foreign clients against a running simulator: every suite, over the wrapper and HDLC."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_lab.ports import free_port

sys.path.insert(0, str(Path(__file__).parent))
from meter import CLIENT_TITLE

START_S = 60.0
POLL_S = 0.02
MECHANISMS = {"none": 16, "lls": 2, "gmac": 1}


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline, "the simulator does not listen"
            time.sleep(POLL_S)
        else:
            return


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, int], Any]]:
    """A simulator with meters of suites 0, 1 and 2 on both links: what its plan says of each."""
    folder = tmp_path_factory.mktemp("simulator")
    ports = [free_port() for _ in range(6)]
    (folder / "fleet.toml").write_text(
        "tcp = 3\nshared = 0\ndial_in = 0\nrs485 = 0\npush = false\nhdlc_tcp = 3\n"
        f"suites = [0, 1, 2]\ntcp_ports = {ports[:3]}\nhdlc_ports = {ports[3:]}\n"
    )
    simulator = [sys.executable, "-m", "hesper_sim"]
    fleet = ["--fleet", str(folder / "fleet.toml")]
    planned = subprocess.run(
        [*simulator, "plan", *fleet, "--json"], capture_output=True, check=True
    )
    serving = subprocess.Popen(
        [*simulator, "serve", *fleet, "--state", str(folder / "state"), "--history-days", "1"],
        stdout=subprocess.DEVNULL,
    )
    for port in ports:
        wait_for(port)
    yield {
        ("hdlc" if meter["access"] == "hdlc-tcp" else "wrapper", meter["security_suite"]): {
            **meter,
            "port": port,
        }
        for meter, port in zip(json.loads(planned.stdout)["meters"], ports, strict=True)
    }
    serving.terminate()
    serving.wait(START_S)


CASES = [
    (link, authentication, suite)
    for link in ("wrapper", "hdlc")
    for authentication, suite in (("lls", 0), ("gmac", 0), ("gmac", 1), ("gmac", 2))
]


@pytest.mark.parametrize(("link", "authentication", "suite"), CASES)
@pytest.mark.parametrize("peer", ["jdlms", "gurux"])
def test_a_java_client(
    java: Any,
    meters: dict[tuple[str, int], Any],
    expected: Callable[..., None],
    peer: str,
    link: str,
    authentication: str,
    suite: int,
) -> None:
    if peer == "jdlms" and suite:
        pytest.skip("jDLMS names the wrong suite: see docs/interoperation.md")
    meter = meters[link, suite]
    outcomes = java.order(
        f"{peer}-client",
        meter="simulator",
        port=meter["port"],
        link=link,
        client=MECHANISMS[authentication],
        authentication=authentication,
        suite=suite,
        ciphered=authentication == "gmac",
        password=str(meter["password"]).encode(),
        system_title=CLIENT_TITLE,
        encryption_key=bytes.fromhex(meter["encryption_key"]),
        authentication_key=bytes.fromhex(meter["authentication_key"]),
        max_pdu=1024,
    )
    key = {"peer": peer, "as": "client of hesper-sim", "link": link}
    expected({**key, "authentication": authentication, "suite": f"suite {suite}"}, outcomes)
