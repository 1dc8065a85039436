"""InfluxDB and PostgreSQL for tests, real ones that the tests start: a plugin of pytest."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hesper_lab import ports, system

if TYPE_CHECKING:
    from hesper_cloud.stores.influx_server import InfluxServer
    from hesper_cloud.stores.influx_v2 import InfluxV2

INFLUXD = shutil.which("influxd") or "/usr/bin/influxd"
INFLUX_START_S = 60.0
INFLUX_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
[monitor]
  store-enabled = false
[ifql]
  enabled = false
"""


class Influxd:
    """A real InfluxDB 1.x on free ports, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        if not Path(INFLUXD).exists():
            pytest.skip("influxd is not installed")
        http, rpc = ports.free_port(), ports.free_port()
        self._log = folder / "log"
        self._config = folder / "influxdb.conf"
        self._config.write_text(INFLUX_CONFIG.format(folder=folder, http=http, rpc=rpc))
        self.url = f"http://127.0.0.1:{http}"

    def start(self) -> "Influxd":
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [INFLUXD, "-config", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + INFLUX_START_S
        while not ports.answers(f"{self.url}/ping"):
            assert self._server.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "influxd does not answer"
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        self._server.kill()
        self._server.wait()


@pytest.fixture(scope="session")
def influx_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an InfluxDB 1.x that all tests share."""
    server = Influxd(tmp_path_factory.mktemp("influxd")).start()
    yield server.url
    server.kill()


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Influxd]:
    """An InfluxDB 1.x of one test's own."""
    folder = tmp_path / "influxd"
    folder.mkdir()
    server = Influxd(folder).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def free_port() -> int:
    return ports.free_port()


@pytest.fixture(scope="session")
def influx2_access() -> Iterator[tuple[str, str, str]]:
    """Address, organisation and token of an InfluxDB 2.x or 3.x."""
    url = os.environ.get("HESPER_TEST_INFLUX_URL")
    if url:
        names = ("HESPER_TEST_INFLUX_ORG", "HESPER_TEST_INFLUX_TOKEN")
        yield url, os.environ.get(names[0], "hesper"), os.environ[names[1]]
        return
    if not Path("/var/run/docker.sock").exists():
        pytest.skip("no Docker engine, and HESPER_TEST_INFLUX_URL names no InfluxDB 2.x")
    from testcontainers.core.container import DockerContainer

    token, setup = uuid.uuid4().hex, "DOCKER_INFLUXDB_INIT_"
    container = DockerContainer("influxdb:2.7").with_exposed_ports(8086)
    for name, value in {
        "MODE": "setup", "USERNAME": "hesper", "PASSWORD": uuid.uuid4().hex, "ORG": "hesper",
        "BUCKET": "first", "ADMIN_TOKEN": token,
    }.items():  # fmt: skip
        container = container.with_env(setup + name, value)
    with container as running:
        url = f"http://{running.get_container_host_ip()}:{running.get_exposed_port(8086)}"
        deadline = time.monotonic() + INFLUX_START_S
        while not ports.answers(f"{url}/ping"):
            assert time.monotonic() < deadline, "InfluxDB 2.x does not answer"
            time.sleep(0.1)
        yield url, "hesper", token


@pytest.fixture(params=["1.x", "2.x"])
def influx_database(request: pytest.FixtureRequest) -> Callable[[], "InfluxServer"]:
    """Connects to a database of its own, each time anew; in the test's turn by either interface."""
    from hesper_cloud.stores.influx_server import InfluxV1
    from hesper_cloud.stores.influx_v2 import InfluxV2

    name = f"test-{uuid.uuid4().hex[:8]}"
    if request.param == "1.x":
        url = request.getfixturevalue("influx_url")
        return lambda: InfluxV1(url, name)
    url, organisation, token = request.getfixturevalue("influx2_access")
    return lambda: InfluxV2(url, name, organisation, lambda: token)


@pytest.fixture
def influx2_server(influx2_access: tuple[str, str, str]) -> Iterator["InfluxV2"]:
    """A bucket of its own on an InfluxDB 2.x."""
    from hesper_cloud.stores.influx_v2 import InfluxV2

    url, organisation, token = influx2_access
    server = InfluxV2(url, f"test-{uuid.uuid4().hex[:8]}", organisation, token)
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL on a free port, without any database of ours; the start of its URLs."""
    found = system.find("postgres")
    if found is None:
        pytest.skip("postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hesper-postgres-"))
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    account |= {"cwd": folder, "env": {**os.environ, **found.environment}}
    port = ports.free_port()
    make = [found.path.parent / "initdb", "-D", folder / "data", "-U", "hesper", "-A", "trust"]
    with (folder / "log").open("wb") as log:
        subprocess.run([*make, "-E", "UTF8", "--no-locale"], check=True, stdout=log, **account)
        run = [found.path, "-D", folder / "data", "-p", str(port), "-k", folder]
        server = subprocess.Popen(
            [*run, "-h", "127.0.0.1", "-c", "fsync=off"], stdout=log, stderr=log, **account
        )
    deadline = time.monotonic() + INFLUX_START_S
    while not listens(port):
        assert server.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "postgres does not listen"
        time.sleep(0.05)
    yield f"postgresql+psycopg://hesper@127.0.0.1:{port}"
    server.send_signal(signal.SIGINT)  # a fast shutdown
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_database(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database each time it is called; returns its URL."""

    from sqlalchemy import create_engine, text

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:8]}"
        engine = create_engine(f"{postgres_url}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return f"{postgres_url}/{name}"

    return make


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
