"""Foreign implementations in processes of their own, and what they are expected to do."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCES = HERE / "peers" / "java"
RESULTS = HERE.parents[1] / "docs" / "interoperation.json"
MAVEN_TIMEOUT_S = 90


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-interoperation",
        action="store_true",
        help="Keep what the peers do now as what they are expected to do.",
    )


def java_folder() -> Path:
    """Where the peers are built: by what they are made from, outside the working tree."""
    parts = sorted([*SOURCES.glob("*.java"), SOURCES / "pom.xml"])
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hesper" / "java-peers" / digest


def build_java(folder: Path) -> None:
    """Fetch the libraries and compile the peers; skips where that cannot be done."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    fetch = ["mvn", "-q", "-B", "-f", str(SOURCES / "pom.xml")]
    fetch += ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"]
    try:
        fetched = subprocess.run(
            fetch, capture_output=True, text=True, timeout=MAVEN_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("Maven cannot fetch the peers in time")
    if fetched.returncode:
        pytest.skip(f"Maven cannot fetch the peers: {fetched.stdout.strip()[-200:]}")
    classes = ["javac", "-nowarn", "-cp", f"{folder / 'lib'}/*", "-d", str(folder / "classes")]
    subprocess.run([*classes, *map(str, SOURCES.glob("*.java"))], check=True, capture_output=True)


class Java:
    """All Java peers, in one process: an order in, lines out."""

    def __init__(self, folder: Path) -> None:
        path = f"{folder / 'classes'}:{folder / 'lib'}/*"
        flags = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx256m")
        self._process = subprocess.Popen(
            ["java", *flags, "-cp", path, "Peers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def order(self, peer: str, **options: object) -> dict[str, str]:
        """Give one order; return what happened by service."""
        words = [peer, *(f"{name}={_text(value)}" for name, value in options.items())]
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        found: dict[str, str] = {}
        for line in self._process.stdout:
            if line == ".\n":
                return found
            service, _, outcome = line.rstrip("\n").partition("\t")
            found[service] = outcome
        raise AssertionError("the Java process ended")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="session")
def java() -> Iterator[Java]:
    """The Java peers, built on first use and kept in the user's cache."""
    folder = java_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # tests may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "classes" / "Peers.class").exists():
            build_java(folder)
    peers = Java(folder)
    yield peers
    peers.close()


@pytest.fixture
def tcp_meter(tcp_meter: Callable[..., Any]) -> Callable[..., Any]:
    """Starts meters as everywhere, with the physical address that the peers know."""
    return partial(tcp_meter, physical=17)


@pytest.fixture(scope="session")
def expected(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Compares what happened with what is recorded, or records it: `expected(key, outcomes)`."""
    recorded: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    recording = request.config.getoption("--record-interoperation")

    def compare(key: dict[str, str], outcomes: dict[str, str]) -> None:
        name = " ".join(key.values())
        if recording:
            recorded[name] = {**key, "services": outcomes}
        assert recorded[name] == {**key, "services": outcomes}

    yield compare
    if recording:
        kept = dict(sorted(recorded.items()))
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
