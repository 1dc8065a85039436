"""The site that `prepare --local` makes runs: broker, head end, authority, gateway, console.

Its files are those that the containers mount; only places and addresses differ, and readings go to
the embedded store.
"""

import json
import os
import runpy
import shutil
import socket
import ssl
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from hesper_cloud.certificates import Desk, shut_out
from hesper_cloud.db.authority import GatewayKey, ShutOut
from hesper_cloud.db.engines import reading
from hesper_cloud.provision import Databases, add_gateway
from hesper_cloud.settings import Settings
from hesper_contracts.signing import Signer
from hesper_lab.ports import free_port

pytestmark = pytest.mark.integration
DEADLINE_S = 90.0


@contextmanager
def running(log: Path, *command: object, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **environment}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def until(condition, what: str, processes: dict[Path, "subprocess.Popen[bytes]"]):
    logs = processes.keys()
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and all(each.poll() is None for each in processes.values()):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("\n".join([f"{what}: not in time", *(log.read_text() for log in logs)]))


def ask(url: str, token: str | None = None, body: dict[str, str] | None = None) -> object | None:
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.HTTPError, OSError):
        return None


def refuses(door: ssl.SSLSocket) -> bool:
    """Whether a broker ends the connection of somebody who shows no certificate."""
    try:
        door.sendall(bytes.fromhex("100d00044d5154540502003c000000"))
        return door.recv(100) == b""
    except OSError:
        return True


def test_secrets_are_for_their_owner_alone(site):
    for path in site.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_second_time_keeps_what_is_there(site, prepare):
    """Accounts of the head end that came later are added; a gateway that was shut out is not."""
    passwords = site / "broker/passwords"
    whole = passwords.read_text()
    accounts = dict(line.split(":") for line in whole.splitlines())
    assert set(accounts) == {"hes.ingest", "hes.authority", "hes.images", "gw-1"}
    kept = [f"{name}:{accounts[name]}\n" for name in ("hes.ingest", "hes.authority")]
    passwords.write_text("".join(kept))
    before = {path: path.read_bytes() for path in site.rglob("*") if path.suffix != ".db"
              and path.is_file() and path != passwords}  # fmt: skip
    assert prepare(site, "gw-1").returncode == 0
    assert {path: path.read_bytes() for path in before} == before
    added, *others = passwords.read_text().splitlines(keepends=True)
    assert (added.startswith("hes.images:$7$"), others) == (True, kept)
    passwords.write_text(whole)


def test_a_second_time_the_broker_is_given_the_names_that_are_said(
    site, prepare, tmp_path, monkeypatch
):
    """Gateways in the field come to a site that was made for this machine alone."""
    own = tmp_path / "site"
    shutil.copytree(site, own)
    monkeypatch.setenv("HESPER_BROKER_NAMES", "mqtt.example.org 192.0.2.1")
    assert prepare(own, "gw-1").returncode == 0
    certificate = x509.load_pem_x509_certificate((own / "broker/broker.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "mqtt.example.org" in names.get_values_for_type(x509.DNSName)
    assert "192.0.2.1" in map(str, names.get_values_for_type(x509.IPAddress))


def test_a_second_time_says_where_the_console_is(site, prepare, ports, tmp_path):
    """Ports of another terminal are not those of the site."""
    own = tmp_path / "site"
    shutil.copytree(site, own)
    settings = own / "cloud/cloud.toml"
    moved = settings.read_text().replace(f"port = {ports.web}", "port = 28099")
    settings.write_text(moved)
    assert "The console is then at http://127.0.0.1:28099\n" in prepare(own, "gw-1").stdout


def test_what_a_cut_left_empty_is_made_a_second_time(site, prepare):
    names = ("broker/ca.pem", "broker/mosquitto.conf", "cloud/cloud.toml")
    broken = [site / name for name in names]
    before = [file.read_bytes() for file in broken]
    for file in broken:
        file.write_bytes(b"")
    assert prepare(site, "gw-1").returncode == 0
    assert [file.read_bytes() for file in broken] == before


def test_a_gateway_whose_key_was_made_in_a_run_that_was_cut_gets_another(prepare, tmp_path):
    programs, site = tmp_path / "programs", tmp_path / "site"
    programs.mkdir()
    cut = programs / "hesper-gateway"
    cut.write_text('#!/bin/sh\necho left > gateway.key\nprintf "{"\nexit 137\n')
    cut.chmod(0o700)
    assert prepare(site, "gw-1", programs).returncode == 137
    assert not (site / "gateway/public.json").exists()
    cut.unlink()
    (site / "gateway/public.json").touch()
    assert prepare(site, "gw-1").returncode == 0
    shown = json.loads((site / "gateway/public.json").read_text())
    assert Signer.load(site / "gateway/gateway.key").public_key.hex() == shown["public_key"]


def test_a_second_time_leaves_the_head_end_its_word_on_a_gateways_key(site, prepare, tmp_path):
    """After another device took the name, and after the gateway was shut out."""
    own = tmp_path / "site"
    shutil.copytree(site, own)
    settings = Settings.load(own / "cloud/cloud.toml")
    databases = Databases.open(settings)

    def on_record() -> tuple[str | None, bool]:
        with reading(databases.authority) as session:
            known, out = (session.get(each, "gw-1") for each in (GatewayKey, ShutOut))
            return known and known.public_key, out is not None

    key = Signer.generate().public_key.hex()
    add_gateway(databases, "gw-1", key, replace=True)
    assert (prepare(own, "gw-1").returncode, on_record()) == (0, (key, False))
    shut_out(Desk(settings, databases, datetime.now(UTC)), "gw-1", "stolen")
    assert (prepare(own, "gw-1").returncode, on_record()) == (0, (None, True))
    databases.close()


def test_another_gateway_or_a_wrong_name_is_refused(site, prepare, tmp_path):
    another = prepare(site, "gw-2")
    assert (another.returncode, "gateway is gw-1" in another.stderr) == (2, True)
    for wrong in ("cloud", "Gw", "a b", "-x"):
        assert prepare(tmp_path / "site", wrong).returncode == 2
    assert not (tmp_path / "site").exists()


def test_containers_find_another_folder_again(root, tmp_path):
    """Compose reads `.env`; in the next terminal nobody has said where the site is."""
    programs, deploy = tmp_path / "programs", tmp_path / "hesper/deploy"
    shutil.copytree(root / "deploy", deploy, ignore=shutil.ignore_patterns("site", ".env"))
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\nexit 9\n")
    (programs / "docker").chmod(0o700)
    search = os.pathsep.join((str(programs), os.environ["PATH"]))
    at_home = {name: value for name, value in os.environ.items() if name != "HESPER_SITE"}
    for said in ({"HESPER_SITE": "elsewhere"}, {}):
        ended = subprocess.run(
            [deploy / "prepare", "gw-1"], cwd=tmp_path, capture_output=True, check=False,
            env={**at_home, **said, "PATH": search},
        )  # fmt: skip
        assert ended.returncode == 9
        assert f"HESPER_SITE={tmp_path / 'elsewhere'}" in (deploy / ".env").read_text().split()
        assert not (deploy / "site").exists()


Processes = dict[Path, "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def before_the_web(site, request) -> list[str]:
    """What stands before the head end: the wall around the authority's folder, where one can be."""
    try:
        return list(request.getfixturevalue("wall")(site / "authority"))
    except pytest.skip.Exception:
        return []


@pytest.fixture(scope="module")
def at_work(
    site, root, programs, before_the_web, tmp_path_factory
) -> Iterator[tuple[Path, Processes]]:
    """The prepared site with its processes: the folder of their logs, the processes."""
    mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(mosquitto).exists():
        pytest.skip("mosquitto is not installed")
    folder, settings = tmp_path_factory.mktemp("at-work"), {"MOSQUITTO": mosquitto}
    broker = site / "broker"
    watched = [broker / name for name in ("passwords", "revoked.pem", "broker.pem")]
    cloud, cloud_toml = programs / "hesper-cloud", site / "cloud/cloud.toml"
    gateway = site / "gateway/gateway.toml"
    with ExitStack() as stack:
        yield (
            folder,
            {
                folder / name: stack.enter_context(running(folder / name, *command, **settings))
                for name, command in {
                    "broker": (root / "deploy/broker", broker / "mosquitto.conf", *watched),
                    "cloud": (*before_the_web, cloud, "run", "--config", cloud_toml),
                    "authority": (cloud, "authority", "--config", cloud_toml),
                    "gateway": (programs / "hesper-gateway", "run", "--config", gateway),
                }.items()
            },
        )


def test_the_prepared_site_runs(at_work, site, ports):
    _, processes = at_work
    base = f"http://127.0.0.1:{ports.web}"
    until(lambda: ask(f"{base}/health"), "health", processes)
    login = {"username": "admin", "password": (site / "admin.password").read_text().strip()}
    token = ask(f"{base}/api/v1/auth/login", body=login)["token"]
    gateways = until(
        lambda: [g for g in ask(f"{base}/api/v1/gateways", token) if g["state"] == "online"],
        "gateway", processes,
    )  # fmt: skip
    assert [g["id"] for g in gateways] == ["gw-1"]


def test_the_prepared_broker_lets_in_by_certificate_and_reads_its_files_again(
    at_work, site, root, ports
):
    folder, processes = at_work
    connected = runpy.run_path(str(root / "deploy/connected.py"))["is_connected"]
    until(lambda: connected(ports.broker), "broker", processes)
    assert not connected(free_port())
    without = ssl.create_default_context(cafile=str(site / "broker/ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", ports.secure), 20) as plain,
        without.wrap_socket(plain, server_hostname="broker") as door,
    ):
        assert refuses(door)
    said, revoked = folder / "broker", site / "broker/revoked.pem"
    before = said.read_text().count("ACL pattern")
    revoked.write_bytes(revoked.read_bytes() + b"\n")
    until(lambda: said.read_text().count("ACL pattern") > before, "reload", processes)
