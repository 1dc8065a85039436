"""The doors of the web process on real sockets: TLS, limits, sizes, origins, and their end."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parent))
from hesper_cloud import certificates
from hesper_cloud.api import serving
from hesper_cloud.api.limits import Limits
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.services import accounts
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.web_settings import LimitSettings, TlsSettings, WebSettings
from serving_thread import Server, serving_of

ANN, CLEO = "asking-politely-1", "keeper-of-the-house"
API = "/api/v1"
ENDS_WITHIN_S = 60.0
Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def serve(head_end) -> Iterator[Serve]:
    """Serves the head end with such and such doors; browsers drop cookies of another year."""
    head_end.clock.now = datetime.now(UTC)
    store = DuckDbStore(head_end.settings.readings_file)
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)

    def make(**doors: Any) -> AbstractContextManager[Server]:
        web = WebSettings(**({"port": 0} | doors))
        settings = head_end.settings.model_copy(update={"web": web})
        registry = head_end.databases.registry
        sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
        return serving_of(assemble(sources, lambda: 0.0))

    yield make
    store.close()
    read_only.dispose()


@pytest.fixture
def own_authority(head_end, tmp_path) -> Callable[[], TlsSettings]:
    """Certificates of the head end's own authority; each call renews them."""
    desk = Desk.open(head_end.settings)
    root = tmp_path / "root.pem"
    root.write_bytes(certificates.begin(desk, "Hesper", False))

    def renew() -> TlsSettings:
        certificate = certificates.server(desk, ["localhost", "127.0.0.1"], tmp_path)
        return TlsSettings(certificate=certificate, key=certificate.with_suffix(".key"))

    renew.root = root  # type: ignore[attr-defined]
    yield renew
    desk.databases.close()


def log_in(client: httpx.Client, who: str = "ann", password: str = ANN) -> httpx.Response:
    return client.post(f"{API}/auth/login", json={"username": who, "password": password})


def shown(port: int, trusting: ssl.SSLContext) -> tuple[str, bytes]:
    """The version of TLS that a client gets, and the certificate that it is shown."""
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        return str(encrypted.version()), encrypted.getpeercert(binary_form=True) or b""


def test_https_and_wss_by_the_own_authority_and_a_renewal_without_a_restart(serve, own_authority):
    tls = own_authority()
    trusting = ssl.create_default_context(cafile=own_authority.root)
    with serve(tls=tls) as server:
        with httpx.Client(
            base_url=f"https://localhost:{server.port}", verify=trusting, timeout=60.0
        ) as client:
            answer = log_in(client)
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            cookie = answer.headers["set-cookie"].lower()
            assert cookie.startswith("__host-hesper_session=")
            assert all(
                word in cookie for word in ("secure", "httponly", "samesite=strict", "path=/")
            )
            assert client.get(f"{API}/auth/me").json()["username"] == "ann"
            token = answer.json()["token"]
        version, first = shown(server.port, trusting)
        assert version == "TLSv1.3"
        old = ssl.create_default_context(cafile=own_authority.root)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            shown(server.port, old)
        headers = {"Authorization": f"Bearer {token}"}
        with connect(
            f"wss://localhost:{server.port}{API}/live", ssl=trusting, additional_headers=headers
        ) as live:
            assert "figures" in json.loads(live.recv(ENDS_WITHIN_S))
        assert not server.certificate.look()
        before = server.certificate.own
        own_authority()
        assert server.certificate.look()
        assert shown(server.port, trusting)[1] != first
        renewed = server.certificate.own
        assert renewed != before
        shutil.copy(own_authority.root, tls.certificate)  # not the key's: the present one stays
        assert not server.certificate.look()
        assert shown(server.port, trusting)[0] == "TLSv1.3"
        assert server.certificate.own == renewed


def test_plain_http_beyond_loopback_is_refused_with_what_to_do():
    for host in ("0.0.0.0", "192.0.2.7", "hes.utility.example"):
        with pytest.raises(ProvisioningError, match=r"hesper-cloud ca server.*behind_proxy"):
            serving.check(WebSettings(host=host))
    for host in ("127.0.0.1", "::1", "localhost"):
        serving.check(WebSettings(host=host))
    serving.check(WebSettings(host="0.0.0.0", behind_proxy=("10.0.0.5",)))
    missing = TlsSettings(certificate=Path("/nowhere.pem"), key=Path("/nowhere.key"))
    with pytest.raises(ProvisioningError, match=r"\[web.tls\]"):
        serving.Certificate(missing)


def test_a_port_that_is_taken_is_said_in_one_line_before_anything_begins(head_end, tmp_path):
    config = tmp_path / "cloud.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        state = head_end.settings.state
        config.write_text(f'state = "{state}"\n[web]\nport = {port}\n')
        program = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
        command = [*program, "run", "--config", config]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (said,) = ended.stderr.splitlines()
    assert f"[web] 127.0.0.1:{port}: Address already in use. Does another head end run" in said
    serving.check_free(WebSettings(port=port))


@pytest.mark.parametrize("host", ["192.0.2.7", "hes.invalid"])
def test_a_host_that_is_not_this_machine_is_said_with_what_to_write(host):
    """192.0.2.0/24 is for documents (RFC 5737), and nothing is called .invalid (RFC 6761)."""
    with pytest.raises(ProvisioningError, match=r"\[web\] .*0\.0\.0\.0 .*host is in cloud.toml"):
        serving.check_free(WebSettings(host=host))


def test_behind_a_proxy_its_word_counts_and_nobody_elses(serve):
    with (
        serve(behind_proxy=("127.0.0.1",)) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        said = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        answer = client.post(
            f"{API}/auth/login", json={"username": "ann", "password": ANN}, headers=said
        )
        assert answer.headers["set-cookie"].startswith("__Host-hesper_session=")
        token = {"Authorization": f"Bearer {answer.json()['token']}"}
        (session,) = client.get(f"{API}/sessions", headers=token).json()
        assert session["source"] == "198.51.100.7"
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        answer = client.post(
            f"{API}/auth/login", json={"username": "ann", "password": ANN}, headers=said
        )
        assert answer.headers["set-cookie"].startswith("hesper_session=")
        token = {"Authorization": f"Bearer {answer.json()['token']}"}
        sources = {each["source"] for each in client.get(f"{API}/sessions", headers=token).json()}
        assert sources == {"198.51.100.7", "127.0.0.1"}


def test_who_asks_too_often_is_told_when_to_come_back(serve, monkeypatch):
    monkeypatch.setattr(accounts, "_RECHECK_S", 3600.0)  # a token unknown by now is an address's
    limits = {"per_second": 0.01, "burst": 5}
    with (
        serve(limits=limits) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        token = {"Authorization": f"Bearer {log_in(client).json()['token']}"}
        client.cookies.clear()
        statuses = [client.get(f"{API}/meters", headers=token).status_code for _ in range(8)]
        assert statuses[:4] == [200] * 4
        assert statuses[-2:] == [429] * 2
        refused = client.get(f"{API}/meters", headers=token)
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["content-type"] == "application/problem+json"
        # other tokens that are none do not help: the address has a bucket, and it is empty soon
        wrong = [
            client.get(f"{API}/meters", headers={"Authorization": f"Bearer {n}"}).status_code
            for n in range(8)
        ]
        assert wrong[-1] == 429
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{server.port}{API}/live", additional_headers=token)


def test_buckets_fill_again_and_are_not_kept_for_ever():
    now = [0.0]
    limits = Limits(LimitSettings(per_second=2, burst=2), lambda: now[0])
    assert [limits.take("a") for _ in range(3)] == [0, 0, 0.5]
    assert limits.take("b") == 0
    now[0] = 0.5
    assert [limits.take("a"), limits.take("a")] == [0, 0.5]
    assert [Limits(LimitSettings(per_second=0)).take("a") for _ in range(9)] == [0] * 9
    for number in range(30_000):
        now[0] += 0.001
        limits.take(f"client {number}")
    assert len(limits._pace._buckets) <= 20_000


def test_a_body_that_is_too_large_is_not_read_whole_also_in_chunks(serve):
    limits = {"body_octets": 4096, "upload_octets": 8192}
    with (
        serve(limits=limits) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=ENDS_WITHIN_S) as client,
    ):
        answer = client.post(f"{API}/auth/login", content=b"x" * 5000)
        assert (answer.status_code, answer.json()["status"]) == (413, 413)
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(1000):
                taken += 1024
                yield b"x" * 1024

        answer = client.post(
            f"{API}/auth/login", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert "in parts" in answer.json()["detail"]
        assert client.post(f"{API}/auth/login", content=b"x" * 4000).status_code == 422


def test_other_sites_get_nothing_unless_the_configuration_names_them(serve):
    other = {"Origin": "https://mdm.example"}
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        log_in(client)
        answer = client.get(f"{API}/meters", headers=other)
        assert "access-control-allow-origin" not in answer.headers
        asked = other | {"Access-Control-Request-Method": "POST"}
        assert (
            "access-control-allow-origin"
            not in client.options(f"{API}/meters", headers=asked).headers
        )
        refused = client.post(f"{API}/auth/logout", headers=other)
        assert refused.status_code == 403
        assert client.get(f"{API}/auth/me").status_code == 200  # the cookie still stands
        cookie = {"Cookie": f"hesper_session={client.cookies['hesper_session']}"}
        with connect(f"ws://127.0.0.1:{server.port}{API}/live", additional_headers=cookie) as live:
            assert live.protocol.extensions == []  # one text for all is not compressed for each
            assert live.recv(ENDS_WITHIN_S)
        foreign = cookie | {"Origin": "https://evil.example"}
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{server.port}{API}/live", additional_headers=foreign)
    with (
        serve(cors_origins=("https://mdm.example",)) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        token = {"Authorization": f"Bearer {log_in(client).json()['token']}"}
        answer = client.get(f"{API}/meters", headers=other | token)
        assert answer.headers["access-control-allow-origin"] == "https://mdm.example"
        assert "access-control-allow-credentials" not in answer.headers
        evil = {"Origin": "https://evil.example"}
        answer = client.get(f"{API}/meters", headers=evil | token)
        assert "access-control-allow-origin" not in answer.headers


def test_answers_of_the_api_tell_browsers_what_not_to_do(serve):
    with serve() as server, _patient(server) as client:
        for path in (f"{API}/meters", f"{API}/nowhere"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "strict-transport-security" not in headers
            assert "server" not in headers


def _patient(server: Server) -> httpx.Client:
    """A client that waits for a busy machine: the first unknown address has all of them listed."""
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=ENDS_WITHIN_S)


def with_socket(server: Server, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return listening(server, headers)


def listening(server: Server, headers: dict[str, str]) -> Any:
    """An open socket that has been told something."""
    address = f"ws://127.0.0.1:{server.port}{API}/live"
    socket = connect(address, additional_headers=headers, legacy=True)
    socket.recv(ENDS_WITHIN_S)
    return socket


def closed(socket: Any) -> int:
    """Reads until the server closes; returns with which code."""
    try:
        while True:
            socket.recv(ENDS_WITHIN_S)
    except ConnectionClosed as ended:
        return int(ended.rcvd.code) if ended.rcvd else 0


@pytest.mark.usefixtures("deciding")
def test_whoever_is_changed_loses_every_open_session_and_socket(serve, head_end):
    """By the authority's word, whoever spoke it: the command line as well as an admin here."""
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        admin = {"Authorization": f"Bearer {log_in(client, 'cleo', CLEO).json()['token']}"}
        proof = {"password": CLEO}
        for change in ({"role": "viewer"}, {"areas": ["north"]}, {"disabled": True}):
            token = log_in(client).json()["token"]
            socket = with_socket(server, token)
            client.cookies.clear()
            answer = client.patch(f"{API}/users/ann", json=change | proof, headers=admin)
            assert answer.status_code == 200, answer.text
            assert closed(socket) == 1008
            assert (
                client.get(
                    f"{API}/auth/me", headers={"Authorization": f"Bearer {token}"}
                ).status_code
                == 401
            )
            assert client.get(f"{API}/users/ann", headers=admin).json()["open_sessions"] == 0
        token = log_in(client, "ben", "second-pair-of-eyes").json()["token"]
        socket = with_socket(server, token)
        with writing(head_end.databases.authority) as session:
            session.get_one(User, "ben").token_version += 1
        assert closed(socket) == 1008
        answer = log_in(client, "dora", "third-pair-of-eyes")
        socket = with_socket(server, answer.json()["token"])
        own = {"Authorization": f"Bearer {answer.json()['token']}"}
        new = {"password": "third-pair-of-eyes", "new": "another-pair-of-eyes"}
        client.cookies.clear()
        assert client.put(f"{API}/auth/password", json=new, headers=own).status_code == 204
        assert closed(socket) == 1008


@pytest.mark.usefixtures("deciding")
def test_a_session_is_ended_from_another_and_by_an_admin(serve):
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        log_in(client)
        cookie = {"Cookie": f"hesper_session={client.cookies['hesper_session']}"}
        client.cookies.clear()
        socket = listening(server, cookie)
        there = {"Authorization": f"Bearer {log_in(client).json()['token']}"}
        client.cookies.clear()
        rows = client.get(f"{API}/sessions", headers=cookie).json()
        (this,) = [row for row in rows if row["is_this"]]
        other = log_in(client, "vic", "viewing-only-1").json()["token"]
        client.cookies.clear()
        stranger = {"Authorization": f"Bearer {other}"}
        path = f"{API}/sessions/{this['id']}"
        assert client.delete(path, headers=stranger).status_code == 404
        assert client.get(f"{API}/sessions?all=true", headers=stranger).status_code == 403
        assert client.delete(path, headers=there).status_code == 204
        assert closed(socket) == 1008
        assert client.get(f"{API}/auth/me", headers=cookie).status_code == 401
        assert client.delete(path, headers=there).status_code == 404


@pytest.mark.usefixtures("deciding")
def test_tokens_are_shown_once_used_noted_exchanged_and_revoked(serve, head_end):
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60.0) as client,
    ):
        admin = {"Authorization": f"Bearer {log_in(client, 'cleo', CLEO).json()['token']}"}
        client.cookies.clear()
        service = {"username": "feeder", "role": "service", "scopes": ["read"], "password": CLEO}
        made = client.post(f"{API}/users", json=service, headers=admin)
        assert (made.status_code, made.json()["password"]) == (201, None)
        order = {"username": "feeder", "name": "MDM", "scopes": ["read"], "password": CLEO}
        made = client.post(f"{API}/tokens", json=order, headers=admin).json()
        assert made["token"].startswith("hesper_")
        listed = client.get(f"{API}/tokens?all=true", headers=admin)
        assert made["token"] not in listed.text
        machine = {"Authorization": f"Bearer {made['token']}"}
        me = client.get(f"{API}/auth/me", headers=machine).json()
        assert (me["role"], me["scopes"]) == ("service", ["read"])
        assert client.get(f"{API}/meters", headers=machine).status_code == 200
        assert client.post(f"{API}/commands", json={}, headers=machine).status_code in (403, 422)
        (row,) = client.get(f"{API}/tokens?all=true", headers=admin).json()
        assert row["last_used_from"] == "127.0.0.1"
        signed = client.post(f"{API}/auth/token", headers=machine).json()["token"]
        assert signed.count(".") == 2
        by_signed = {"Authorization": f"Bearer {signed}"}
        assert client.get(f"{API}/auth/me", headers=by_signed).json() == me
        socket = with_socket(server, made["token"])
        assert client.delete(f"{API}/tokens/{made['id']}", headers=admin).status_code == 204
        assert closed(socket) == 1008
        for headers in (machine, by_signed):
            assert client.get(f"{API}/auth/me", headers=headers).status_code == 401
        made = client.post(f"{API}/tokens", json=order | {"days": 1}, headers=admin).json()
        machine = {"Authorization": f"Bearer {made['token']}"}
        assert client.get(f"{API}/auth/me", headers=machine).status_code == 200
        head_end.clock.advance(86_400)
        server._services.accounts.forget()
        assert client.get(f"{API}/auth/me", headers=machine).status_code == 401


def test_the_authority_is_asked_before_anything_is_kept(serve, monkeypatch):
    """With the authority away nothing changes."""
    monkeypatch.setattr("hesper_cloud.services.authority_link.WAIT", timedelta(0))
    monkeypatch.setattr("hesper_cloud.services.authority_link._IN_HAND_S", 0.0)
    with (
        serve() as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=ENDS_WITHIN_S) as client,
    ):
        admin = {"Authorization": f"Bearer {log_in(client, 'cleo', CLEO).json()['token']}"}
        wish = {"username": "eve", "role": "admin", "password": CLEO}
        assert client.post(f"{API}/users", json=wish, headers=admin).status_code == 503
        assert client.get(f"{API}/users/eve", headers=admin).status_code == 404
