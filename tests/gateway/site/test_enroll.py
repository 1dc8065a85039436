"""`hesper-gateway enroll` against a head end that is scripted from the contract, over HTTP.

What the real head end does is shown in tests/acceptance; here it lies, breaks and is cut off.
"""

import base64
import json
import ssl
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import enrolment
from hesper_contracts.enrolment import Answer, Configuration, File, Secrets, Token
from hesper_contracts.signing import Signer
from hesper_gateway import cli
from hesper_gateway.certificate import requested_name
from hesper_gateway.config import load
from hesper_gateway.database import Database
from hesper_gateway.enrolment import STAGE, EnrolmentFailed, enrol, placing
from hesper_gateway.enrolment import HeadEnd as At
from hesper_gateway.errors import ConfigError
from hesper_lab.bench import certificates
from typer.testing import CliRunner

COMMANDS = Signer.generate()
TOML = f"""\
gateway = "gw-7"
[broker]
host = "127.0.0.1"
username = "gw-7"
password_file = "broker.password"
[keys]
commands = {{ "{COMMANDS.key_id}" = "{COMMANDS.public_key.hex()}" }}
[outbox]
ballast_mb = 0
[[lines]]
name = "a"
kind = "tcp"
host = "127.0.0.1"
port = 4059
"""
METER = """\
[[meters]]
id = "M1"
line = "a"
template = "own"
keys_file = "meters/M1.json"
"""
TOML += METER


class HeadEnd:
    """Answers as the contract says; what it says and how is the test's to change."""

    def __init__(self) -> None:
        self.signer, self.toml, self.replaces = COMMANDS, TOML, True
        self.asks: list[enrolment.Ask] = []
        self.keys = {"encryption_key": "00" * 16, "authentication_key": "11" * 16}
        self.status, self.body = 200, b""
        self.replayed: bytes | None = None
        head_end = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                octets = head_end.body or head_end.answer(base64.b64decode(said["ask"]))
                self.send_response(head_end.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, section: bytes) -> bytes:
        if self.replayed is not None:
            return self.replayed
        ask, digest = enrolment.read_ask(section), enrolment.digest_of(section)
        self.asks.append(ask)
        files = (
            File("gateway.toml", self.toml.encode()),
            File("meters/M1.json", json.dumps(self.keys).encode()),
            File("templates/own.toml", b'extends = "generic"\ndescription = "own"\n'),
        )
        box = enrolment.seal(Secrets(Configuration(files), "secret-7"), ask.sealing_key, digest)
        answer = Answer(
            ask=digest, gateway="gw-7", version=4, replaces=self.replaces, broker_knows=False,
            box=box,
        )  # fmt: skip
        return enrolment.sign_answer(answer, self.signer)


@pytest.fixture
def head_end() -> Iterator[HeadEnd]:
    head_end = HeadEnd()
    yield head_end
    head_end.server.shutdown()
    head_end.server.server_close()


@pytest.fixture
def token() -> str:
    return Token.make("gw-7", COMMANDS.public_key).text


def lost(folder: Path) -> str | None:
    database = Database(folder / "state" / "gateway.db", 0)
    database.close()
    return database.lost


def test_a_device_has_all_that_the_agent_needs(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    ran = CliRunner().invoke(
        cli.app, ["enroll", "--head-end", head_end.url, "--token", "-", "--folder", str(tmp_path)],
        input=token + "\n",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    for said in ("gw-7: configuration 4, 1 meters", "place of another", "gateway account gw-7"):
        assert said in ran.output
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names >= {"gateway.toml", "gateway.key", "broker.password", "meters/M1.json"}
    assert not any(name.startswith(STAGE) or name.endswith(".new") for name in names)
    for name in ("gateway.toml", "gateway.key", "broker.password", "meters/M1.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert Signer.load(tmp_path / "gateway.key").public_key == head_end.asks[0].signing_key
    assert (tmp_path / "broker.password").read_text() == "secret-7\n"
    assert load(tmp_path / "gateway.toml").state == tmp_path / "state"
    assert "takes the place" in (lost(tmp_path) or "")


def test_the_first_of_its_name_begins_without_a_predecessor(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    head_end.replaces = False
    assert enrol(At(head_end.url), token, tmp_path) is not None
    assert not (tmp_path / "state").exists()


def test_a_copy_of_the_old_database_is_moved_aside(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    Database(tmp_path / "state" / "gateway.db", 0).close()
    enrol(At(head_end.url), token, tmp_path)
    assert "takes the place" in (lost(tmp_path) or "")
    assert list((tmp_path / "state" / "damaged").rglob("gateway.db"))


class PowerCut(BaseException):
    """Nothing in the gateway catches it."""


@pytest.mark.parametrize("step", range(9))
def test_a_cut_at_any_step_is_gone_over_again(
    head_end: HeadEnd, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    steps = iter(range(20))
    real = {"put": placing.put, "_succeed": placing._succeed}

    def cut(name: str) -> Any:
        def instead(*what: Any) -> None:
            if next(steps) == step:
                raise PowerCut
            real[name](*what)

        return instead

    with monkeypatch.context() as patched:
        for name in real:
            patched.setattr(placing, name, cut(name))
        try:
            enrol(At(head_end.url), token, tmp_path)
            assert step == 8, "every step of the way was cut"
        except PowerCut:
            assert not (tmp_path / "gateway.toml").exists()
            assert enrol(At(head_end.url), token, tmp_path) is not None
    keys = {ask.signing_key for ask in head_end.asks}
    assert keys == {Signer.load(tmp_path / "gateway.key").public_key}
    assert len({enrolment.jsonbody.encode(ask) for ask in head_end.asks}) == 1
    assert (tmp_path / "gateway.toml").read_text() == TOML
    assert not (tmp_path / STAGE).exists()
    assert "takes the place" in (lost(tmp_path) or "")


def test_a_cut_after_the_last_step_leaves_only_tidying(
    head_end: HeadEnd, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr("hesper_gateway.enrolment.enrolling.shutil.rmtree", cut)
        with pytest.raises(PowerCut):
            enrol(At(head_end.url), token, tmp_path)
    assert enrol(At(head_end.url), token, tmp_path) is None
    assert (len(head_end.asks), (tmp_path / STAGE).exists()) == (1, False)
    with pytest.raises(ConfigError, match="there already"):
        enrol(At(head_end.url), token, tmp_path)


def test_keys_that_were_made_for_another_name_are_not_asked_with(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    """Tokens were mixed up: the head end signs no request for another name than its token's."""
    with pytest.raises(EnrolmentFailed):
        enrol(At(head_end.url), Token.make("gw-8", COMMANDS.public_key).text, tmp_path)
    assert enrol(At(head_end.url), token, tmp_path) is not None
    first, second = head_end.asks
    names = [requested_name(ask.certificate_request) for ask in head_end.asks]
    assert names == ["gw-8", "gw-7"]
    assert first.signing_key != second.signing_key


def nothing_is_in_place(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] in ([], [STAGE])


def test_another_head_end_is_not_believed(head_end: HeadEnd, token: str, tmp_path: Path) -> None:
    head_end.signer = Signer.generate()
    with pytest.raises(EnrolmentFailed, match="another head end"):
        enrol(At(head_end.url), token, tmp_path)
    assert nothing_is_in_place(tmp_path)


def test_an_answer_that_was_given_to_another_device_is_not_taken(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    other = enrolment.sign_ask(
        enrolment.Ask(
            gateway="gw-7", token_digest=Token.from_text(token).digest,
            signing_key=(signer := Signer.generate()).public_key, sealing_key=b"\x09" + bytes(31),
        ),
        signer,
    )  # fmt: skip
    head_end.replayed = head_end.answer(other)
    with pytest.raises(EnrolmentFailed, match="something else"):
        enrol(At(head_end.url), token, tmp_path)
    assert nothing_is_in_place(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('gateway = "gw-7"', 'gateway = "gw-8"', "not of gw-7"),
        pytest.param(COMMANDS.key_id, "0" * 16, "is not the id", id="key id"),
        ("commands =", "receipts =", "does not trust"),
        ('"broker.password"', '"/tmp/broker.password"', "beside"),
        ('template = "own"', 'template = "unknown"', "unknown"),
        ("meters/M1.json", "meters/M2.json", "M2.json"),
        (METER, METER + METER.replace('"M1"', '"M2"'), "meters M1 and M2"),
        (METER, METER.replace('"a"', '"b"'), "no line is named 'b'"),
        ('template = "own"', 'template = "push-kaifa"', "cannot be read"),
        ('keys_file = "meters/M1.json"', "", "must hold an encryption_key"),
        ('kind = "tcp"', 'kind = "push-tcp"', "own is no push template"),
    ],
)
def test_what_the_agent_would_not_start_with_is_not_put_in_place(
    head_end: HeadEnd, token: str, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    head_end.toml = TOML.replace(old, new)
    with pytest.raises(ConfigError, match=complaint):
        enrol(At(head_end.url), token, tmp_path)
    assert nothing_is_in_place(tmp_path)


def test_a_configuration_that_must_be_corrected_is_not_got_with_the_same_token(
    head_end: HeadEnd, token: str, tmp_path: Path
) -> None:
    head_end.keys = {}
    with pytest.raises(ConfigError, match="with a new token: hesper-cloud gateway token gw-7"):
        enrol(At(head_end.url), token, tmp_path)


def test_what_the_head_end_says_is_said(head_end: HeadEnd, token: str, tmp_path: Path) -> None:
    head_end.status, head_end.body = 409, b'{"detail": "the token is used"}'
    with pytest.raises(EnrolmentFailed, match="the token is used"):
        enrol(At(head_end.url), token, tmp_path)
    head_end.status, head_end.body = 307, b"{"
    with pytest.raises(EnrolmentFailed, match="HTTP 307"):  # no redirect is followed
        enrol(At(head_end.url), token, tmp_path)
    head_end.status, head_end.body = 200, b"x" * 200
    with pytest.raises(EnrolmentFailed, match="does not hold"):
        enrol(At(head_end.url), token, tmp_path)
    nobody = Token.make("gw-7", COMMANDS.public_key).text
    head_end.server.server_close()
    with pytest.raises(EnrolmentFailed, match="try again"):
        enrol(At("http://127.0.0.1:9"), nobody, tmp_path)


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1", "http://hes.example.org", "hes.example.org", "ftp://x", "https://:x"],
)
def test_the_token_does_not_leave_in_the_clear(url: str, token: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        enrol(At(url), token, tmp_path)


def test_tls_is_verified(head_end: HeadEnd, token: str, tmp_path: Path) -> None:
    certificate = certificates.write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "tls.key")
    head_end.server.socket = context.wrap_socket(head_end.server.socket, server_side=True)
    url = head_end.url.replace("http:", "https:")
    with pytest.raises(EnrolmentFailed, match="CERTIFICATE_VERIFY_FAILED"):
        enrol(At(url), token, tmp_path / "device")
    assert head_end.asks == []
    assert enrol(At(url, certificate), token, tmp_path / "device") is not None
    (tmp_path / "empty.pem").write_text("no certificates")
    with pytest.raises(ConfigError, match="no certificates"):
        enrol(At(url, tmp_path / "empty.pem"), token, tmp_path / "other")
