"""Log-in by an OpenID provider that runs on loopback, and what is not believed of one."""

import asyncio
import base64
import hmac
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import jwt
import oidc_provider_mock
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

sys.path.insert(0, str(Path(__file__).parent))
from hesper_cloud.accounts.oidc import Attempt, Provider, ProviderRefused
from hesper_cloud.api import outside_login
from hesper_cloud.authority.outsiders import WHO, Outsiders
from hesper_cloud.db.authority import AuditRow, User
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.web_settings import OidcSettings, WebSettings
from hesper_ui.login import local_path
from pydantic import ValidationError
from serving_thread import Server, serving_of
from sqlalchemy import select

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the provider alone
ISSUED = {"roles": {"hes-operators": "operator", "hes-auditors": "auditor"}}


def a_person(sub: str, *groups: str, **more: Any) -> oidc_provider_mock.User:
    said = {"preferred_username": sub, "groups": list(groups), "email": f"{sub}@utility.example"}
    return oidc_provider_mock.User(sub=sub, claims=said | {"email_verified": True} | more)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    people = [
        a_person("nora", "hes-operators", "choir"),
        a_person("olga", "choir"),
        a_person("ann", "hes-operators"),
        a_person("vic.smith", "hes-auditors"),
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def serve(head_end, provider, tmp_path) -> Iterator[Callable[..., Any]]:
    """Serves the head end with a log-in by the provider."""
    store = DuckDbStore(head_end.settings.readings_file)
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)

    secret = tmp_path / "client.secret"
    secret.write_text("a secret between the two\n")

    def make(**more: Any) -> Any:
        oidc = settings_for(provider, client_secret_file=secret, **more)
        head_end.authority.admit(Outsiders(oidc))
        changed = {"oidc": oidc, "web": WebSettings(port=0)}
        settings = head_end.settings.model_copy(update=changed)
        registry = head_end.databases.registry
        sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
        return serving_of(assemble(sources, lambda: 0.0))

    yield make
    store.close()
    read_only.dispose()


def settings_for(provider: str, **more: Any) -> OidcSettings:
    given = {
        "issuer": provider,
        "client_id": "hesper",
        "redirect_url": "http://127.0.0.1/login/oidc/callback",
    }
    return OidcSettings(**(given | ISSUED | more))


class Browser:
    """A browser that goes to the provider and comes back; cookies as it would keep them."""

    def __init__(self, server: Server) -> None:
        self.at = f"http://127.0.0.1:{server.port}"
        self.cookies: dict[str, str] = {}

    def go(self, path: str) -> httpx.Response:
        answer = httpx.get(self.at + path, headers=self._cookie(), timeout=60)
        self.cookies |= dict(answer.cookies)
        return answer

    def _cookie(self) -> dict[str, str]:
        pairs = (f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": "; ".join(pairs)}

    def off_to_the_provider(self, target: str = "/meters") -> str:
        answer = self.go(f"/login/oidc?next={target}")
        assert answer.status_code == 303
        return answer.headers["location"]

    def back(self, address: str, sub: str) -> httpx.Response:
        """Says who one is at the provider, and follows it back."""
        answer = httpx.post(address, data={"sub": sub}, timeout=60)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["location"])
        return self.go(f"{back.path}?{back.query}")

    def me(self) -> dict[str, Any]:
        return self.go("/api/v1/auth/me").json()


def why(answer: httpx.Response) -> str:
    assert answer.headers["location"] == "/login"
    return unquote(answer.cookies["hesper_why"])


def account(head_end: Any, username: str) -> User | None:
    with reading(head_end.databases.authority) as session:
        return session.get(User, username)


@pytest.mark.usefixtures("deciding")
def test_somebody_comes_in_by_the_provider_and_gets_the_role_of_their_group(serve, head_end):
    head_end.clock.now = head_end.clock.now.replace(year=2036)  # cookies live until then
    with serve() as server:
        browser = Browser(server)
        address = browser.off_to_the_provider()
        asked = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert len(asked["state"]) == len(asked["nonce"]) == 43
        assert asked["scope"].startswith("openid")
        answer = browser.back(address, "nora")
        assert answer.status_code == 200
        assert "url=/meters" in answer.text
        assert "samesite=strict" in answer.headers["set-cookie"].lower()
        assert browser.me()["username"] == "nora"
        assert browser.me()["role"] == "operator"
        nora = account(head_end, "nora")
        assert (nora.origin, nora.password_hash, nora.email) == (
            "login",
            "",
            "nora@utility.example",
        )
        # the same way back a second time is of no use
        again = browser.go(f"/login/oidc/callback?state={asked['state']}&code=used")
        assert again.headers["location"] == "/login"
        # without a group nobody comes in
        other = Browser(server)
        refused = other.back(other.off_to_the_provider(), "olga")
        assert "none of your groups" in why(refused)
        assert account(head_end, "olga") is None
        # a name that is somebody's here is not taken over
        refused = other.back(other.off_to_the_provider(), "ann")
        assert "somebody else" in why(refused)
        assert account(head_end, "ann").external_id is None
        third = Browser(server)
        third.back(third.off_to_the_provider(), "vic.smith")
        assert third.me()["role"] == "auditor"
        # and what has no password here approves nothing and cannot log in by one
        login = {"username": "nora", "password": ""}
        assert (
            httpx.post(f"{browser.at}/api/v1/auth/login", json=login, timeout=60).status_code == 401
        )


@pytest.mark.usefixtures("deciding")
def test_an_account_of_ours_is_linked_by_its_verified_address_and_keeps_its_role(serve, head_end):
    head_end.clock.now = head_end.clock.now.replace(year=2036)
    with writing(head_end.databases.authority) as session:
        session.get_one(User, "ben").email = "ann@utility.example"
    with serve(link_by_email=True, just_in_time=False) as server:
        browser = Browser(server)
        browser.back(browser.off_to_the_provider(), "ann")
        assert browser.me()["username"] == "ben"
        assert browser.me()["role"] == "approver"
        stranger = Browser(server)
        refused = stranger.back(stranger.off_to_the_provider(), "nora")
        assert "an admin makes one" in why(refused)
        with writing(head_end.databases.authority) as session:
            session.get_one(User, "ben").disabled = True
        refused = browser.back(browser.off_to_the_provider(), "ann")
        assert "disabled" in why(refused)
    with reading(head_end.databases.authority) as session:
        linked = select(AuditRow.action).where(AuditRow.action == "user.link")
        assert len(session.scalars(linked).all()) == 1


def test_another_browser_cannot_finish_a_log_in(serve):
    """The way back counts in the browser that began it alone: nobody is logged in as another."""
    with serve() as server:
        mine, theirs = Browser(server), Browser(server)
        address = mine.off_to_the_provider()
        theirs.off_to_the_provider()
        refused = theirs.back(address, "nora")
        assert "not begun here" in why(refused)
        nobody = Browser(server)
        assert "begin" in why(nobody.back(mine.off_to_the_provider(), "nora"))


def test_only_local_pages_are_gone_to_afterwards(serve):
    with serve() as server:
        for target in ("//evil.example", "https://evil.example", "/\\evil.example"):
            kept = Browser(server)
            kept.off_to_the_provider(target)
            body = jwt.decode(kept.cookies["hesper_oidc"], options={"verify_signature": False})
            assert body["target"] == "/"


def wish(**change: Any) -> dict[str, Any]:
    return {"external_id": "https://id.example nora", "role": "operator"} | change


@pytest.mark.parametrize(
    ("who", "change", "words"),
    [
        (WHO, wish(role="admin"), "a log-in gives nobody the role admin"),
        (WHO, wish(role="approver"), "a log-in gives nobody the role approver"),
        (WHO, wish(role="service"), "a service has scopes"),
        (WHO, wish(external_id="https://evil.example nora"), "nobody whom the configured provider"),
        ("ann", wish(), "only a log-in asks for this"),
    ],
)
def test_the_authority_gives_no_role_above_what_is_configured(head_end, who, change, words):
    """Whoever holds the web process gets no more than its configuration lets anybody have."""
    settings = settings_for("https://id.example")
    head_end.authority.admit(Outsiders(settings))
    row = head_end.ask(who, "account.external", account="nora", change=change)
    assert row.state == "refused"
    assert words in row.outcome["reason"]
    assert account(head_end, "nora") is None


def test_a_role_follows_the_provider_and_ends_what_was_open(head_end):
    settings = settings_for("https://id.example", roles={"a": "viewer", "b": "operator"})
    head_end.authority.admit(Outsiders(settings))
    assert head_end.ask(WHO, "account.external", account="nora", change=wish()).state == "done"
    before = account(head_end, "nora").token_version
    change = wish(role="viewer", areas=["north"])
    assert head_end.ask(WHO, "account.external", account="x", change=change).state == "done"
    nora = account(head_end, "nora")
    assert (nora.role, nora.areas, nora.token_version) == ("viewer", ["north"], before + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": {"x": "approver"}},
        {"default_role": "approver"},
        {"issuer": "http://id.example"},
        {"roles": {"x": "admin"}},
        {"highest_role": "admin"},
        {"redirect_url": "https://hes.example/elsewhere"},
    ],
)
def test_a_configuration_that_gives_too_much_is_refused(wrong):
    with pytest.raises(ValidationError):
        settings_for("https://id.example", **wrong)


def test_the_challenge_is_that_of_the_standard():
    attempt = Attempt("s", "n", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "/")
    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, B
    assert "dBjft" not in repr(attempt)


@pytest.fixture(scope="module")
def keys() -> tuple[Any, Any]:
    return tuple(rsa.generate_private_key(65537, 2048) for _ in range(2))


def signed(keys: tuple[Any, Any], headers: dict[str, Any], **changed: Any) -> str:
    now = int(time.time())
    said = {"iss": "https://id.example", "aud": "hesper", "sub": "nora", "nonce": "n"}
    said |= {"iat": now, "exp": now + 300} | changed
    said = {name: value for name, value in said.items() if value is not None}
    key, algorithm = keys[0], headers.pop("alg", "RS256")
    if algorithm == "HS256":
        key = "a secret of thirty-two characters"
    if headers.pop("foreign", False):
        key = keys[1]
    return jwt.encode(
        said, None if algorithm == "none" else key, algorithm, {"kid": "one"} | headers
    )


@pytest.mark.parametrize(
    ("headers", "changed", "words"),
    [
        ({}, {"nonce": "another"}, "of another log-in"),
        ({}, {"nonce": None}, "of another log-in"),
        ({}, {"aud": "another client"}, "not to be believed"),
        ({}, {"azp": "another client"}, "for another client"),
        ({}, {"iss": "https://evil.example"}, "not to be believed"),
        ({}, {"exp": 1}, "not to be believed"),
        ({}, {"sub": None}, "not to be believed"),
        ({"foreign": True}, {}, "not to be believed"),
        ({"alg": "none"}, {}, "signed by 'none'"),
        ({"alg": "HS256"}, {}, "signed by 'HS256'"),
    ],
)
def test_a_token_that_is_not_for_this_log_in_is_not_believed(keys, headers, changed, words):
    provider = Provider(settings_for("https://id.example"))
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(keys[0].public_key()))
    provider._keys = {"one": jwt.PyJWK(public | {"kid": "one"}, "RS256")}
    attempt = Attempt("s", "n", "v", "/")
    good = signed(keys, {})
    assert provider._checked(good, provider._keys["one"], attempt)["sub"] == "nora"
    token = signed(keys, dict(headers), **changed)
    with pytest.raises(ProviderRefused, match=words):
        provider._checked(token, asyncio.run(provider._key_of(token)), attempt)


def believed(provider: Provider, token: str) -> dict[str, Any]:
    key = asyncio.run(provider._key_of(token))
    return provider._checked(token, key, Attempt("s", "n", "v", "/"))


def test_a_public_key_is_no_secret_to_sign_with(keys):
    """HS256 with the provider's public key as its secret, which everybody can read."""
    provider = Provider(settings_for("https://id.example"))
    public = keys[0].public_key()
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    provider._keys = {"one": jwt.PyJWK(jwk | {"kid": "one"}, "RS256")}
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(document: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")

    claims = jwt.decode(signed(keys, {}), options={"verify_signature": False})
    for algorithm in ("HS256", "RS256"):  # the second says one thing and is signed by the other
        told = part({"alg": algorithm, "kid": "one"}) + b"." + part(claims)
        mac = hmac.digest(pem, told, "sha256")
        token = (told + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
        with pytest.raises(ProviderRefused, match=r"signed by 'HS256'|Signature verification"):
            believed(provider, token)


async def test_a_provider_that_calls_itself_another_is_not_asked_further():
    """Mixed up, by a proxy or by its configuration: no browser is sent anywhere."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        body = json.dumps({"issuer": "https://evil.example", "jwks_uri": "https://evil.example"})
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        provider = Provider(settings_for(f"http://127.0.0.1:{port}"))
        with pytest.raises(ProviderRefused, match=r"calls itself .https://evil\.example"):
            await provider.address_of(Attempt.new("/"))
    assert asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n//evil.example",
        "javascript:x",
        "",
    ],
)
def test_no_word_leads_off_this_site(target):
    assert outside_login._local(target) == local_path(target) == "/"
