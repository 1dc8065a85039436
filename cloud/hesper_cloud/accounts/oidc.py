"""OpenID Connect Core 1.0 as a relying party: authorization code with PKCE (RFC 7636), no more.

Theory of operation. A browser is sent to the provider with a random state, a nonce and the digest
of a verifier; all three wait in a signed cookie. It comes back with the state and a code, which is
exchanged for an ID token by showing the verifier. The token counts if the provider's own key signed
it, by an asymmetric algorithm, for this client and this nonce, and not long ago. The provider's
addresses and keys are its own word at the address that was configured, read again when a key is not
known.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt

from hesper_cloud.web_settings import OidcSettings

_DISCOVERY = "/.well-known/openid-configuration"
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_LEEWAY_S = 60
_WAIT_S = 10.0
_KEPT_S = 300.0
_LARGEST = 256 * 1024
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ProviderRefused(Exception):
    """The provider, or what it says, is not to be believed; the text says why."""


class ProviderAway(Exception):
    """The provider does not answer; try again later."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One log-in that has begun: what must come back, and what is shown then."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    target: str

    @classmethod
    def new(cls, target: str) -> "Attempt":
        """Returns a fresh one; ``target`` is the page to go to afterwards."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, target)

    @property
    def challenge(self) -> str:
        """The verifier's digest, as S256 writes it (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


class Provider:
    """One OpenID provider; its addresses and keys are kept for a while."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._known: dict[str, Any] = {}
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")

    async def address_of(self, attempt: Attempt) -> str:
        """Returns where the browser is sent.

        Raises:
            ProviderAway, ProviderRefused: its configuration cannot be read.
        """
        await self._read()
        settings = self.settings
        asked = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": settings.redirect_url,
            "scope": " ".join(settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._known["authorization_endpoint"])
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"

    async def claims_of(self, attempt: Attempt, state: str, code: str) -> dict[str, Any]:
        """Returns what the provider says of the person who came back.

        Raises:
            ProviderAway: it does not answer.
            ProviderRefused: another state, a refused code, or a token that is not to be believed.
        """
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise ProviderRefused("this log-in was not begun here; begin again")
        await self._read()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_url,
            "client_id": self.settings.client_id,
            "code_verifier": attempt.verifier,
        }
        secret = self.settings.client_secret()
        basic = None if secret is None else (self.settings.client_id, secret)
        answer = await self._ask("POST", str(self._known["token_endpoint"]), form, basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderRefused("the provider gave no ID token")
        return self._checked(token, await self._key_of(token), attempt)

    def _checked(self, token: str, key: jwt.PyJWK, attempt: Attempt) -> dict[str, Any]:
        client = self.settings.client_id
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=client,
                issuer=self.settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise ProviderRefused(f"the ID token is not to be believed: {error}") from None
        if claims.get("azp", client) != client:
            raise ProviderRefused("the ID token is for another client")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise ProviderRefused("the ID token is of another log-in")
        return claims

    async def _key_of(self, token: str) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise ProviderRefused("the ID token cannot be read") from None
        if header.get("alg") not in _ALGORITHMS:
            raise ProviderRefused(f"the ID token is signed by {header.get('alg')!r}")
        key = self._key(header.get("kid"))
        if key is None:
            await self._read(again=True)
            key = self._key(header.get("kid"))
        if key is None:
            raise ProviderRefused("the ID token is signed by a key that the provider has not")
        return key

    def _key(self, name: object) -> jwt.PyJWK | None:
        """Returns a key by its name; a token may leave it out where there is one (Core, 10.1)."""
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(str(name))

    async def _read(self, *, again: bool = False) -> None:
        """Reads addresses and keys of the provider, unless they were read lately."""
        if not again and time.monotonic() - self._read_at < _KEPT_S:
            return
        address = self.settings.issuer.rstrip("/") + _DISCOVERY
        known = await self._ask("GET", address)
        if known.get("issuer") != self.settings.issuer:
            raise ProviderRefused(f"the provider calls itself {known.get('issuer')!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _check_address(name, known.get(name))
        keys = await self._ask("GET", str(known["jwks_uri"]))
        try:
            found = jwt.PyJWKSet.from_dict(keys).keys
        except jwt.PyJWTError:
            raise ProviderRefused("the provider has no keys that can be used") from None
        self._known, self._read_at = known, time.monotonic()
        self._keys = {str(key.key_id or ""): key for key in found}

    async def _ask(
        self,
        method: str,
        address: str,
        form: dict[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        import httpx  # a tenth of a start; few have a provider

        try:
            async with httpx.AsyncClient(timeout=_WAIT_S) as client:
                answer = await client.request(method, address, data=form, auth=basic)
        except httpx.HTTPError as error:
            raise ProviderAway(f"the provider does not answer: {type(error).__name__}") from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderAway(f"the provider answers {answer.status_code}")
        if answer.is_error or len(answer.content) > _LARGEST:
            raise ProviderRefused(f"the provider answers {answer.status_code}")
        try:
            said = answer.json()
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise ProviderRefused("the provider's answer cannot be read")
        return said


def _check_address(name: str, address: object) -> None:
    parts = urlsplit(address if isinstance(address, str) else "")
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _LOOPBACK):
        raise ProviderRefused(f"the provider's {name} is not reached by https")
