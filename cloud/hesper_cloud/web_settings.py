"""Configuration of the doors: HTTP, its certificate, its limits, and log-in elsewhere."""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MayGive = Literal["viewer", "operator", "approver", "auditor"]
"""Roles that a log-in elsewhere can give; admins and services are made here alone."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_RANK = ("viewer", "operator", "approver")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(_Section):
    """The certificate of the web process: its own authority's (`ca server`), or another's."""

    certificate: Path  # PEM: the server's own first, then those above it
    key: Path
    minimum: Literal["1.3", "1.2"] = "1.3"
    reload_s: float = Field(default=30.0, gt=0)  # how often it is looked whether it was renewed
    hsts_days: int = Field(default=365, ge=0)  # 0: browsers are not told to remember HTTPS


class LimitSettings(_Section):
    """How much one client may ask for; a client is a token that is good, else an address."""

    per_second: float = Field(default=100.0, ge=0)  # 0: no limit
    burst: int = Field(default=1000, ge=1)
    sockets: int = Field(default=50, ge=0)  # of one account, open at a time; 0: no limit
    body_octets: int = Field(default=4 * 1024 * 1024, ge=1024)
    upload_octets: int = Field(default=256 * 1024 * 1024, ge=1024)  # imports and images


class WebSettings(_Section):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: int = Field(default=18080, ge=0, le=65535)  # 0: any that is free
    tls: TlsSettings | None = None  # without it, loopback alone, or behind a proxy
    behind_proxy: tuple[str, ...] = ()  # addresses or networks of proxies that end TLS before us
    secure_cookies: bool = False  # set where TLS ends in front of Hesper
    allowed_origins: tuple[str, ...] = ()  # beside the one that the request names
    cors_origins: tuple[str, ...] = ()  # whose pages may ask with a bearer token
    limits: LimitSettings = LimitSettings()
    session_hours: int = Field(default=12, ge=1)
    map_tiles: Path | None = None  # raster tiles for the map: an .mbtiles or .pmtiles file
    disconnects_per_hour: int = Field(default=1_000_000, ge=0)  # beside the policy; lowest holds
    disconnects_per_day: int = Field(default=1_000_000, ge=0)
    token_minutes: int = Field(default=60, ge=1)

    @field_validator("behind_proxy")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each)
        return value

    @field_validator("allowed_origins", "cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not each.startswith(("https://", "http://")) or each.endswith("/"):
                raise ValueError(f"{each!r} is no origin; write https://hes.example, no path")
        return value


class OidcSettings(_Section):
    """Log-in by an OpenID provider (authorization code with PKCE)."""

    issuer: str = Field(pattern=r"^https?://[^/]+(/.*)?$")
    client_id: str
    client_secret_file: Path | None = None
    redirect_url: str = Field(pattern=r"^https?://.+/login/oidc/callback$")
    title: str = "Single sign-on"  # on the button
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: dict[str, MayGive] = Field(default_factory=dict)  # value of the claim → role
    default_role: MayGive | None = None  # None: who has none of them does not come in
    highest_role: Literal["viewer", "operator", "approver"] = "operator"
    areas_claim: str | None = None  # None: everywhere
    just_in_time: bool = True  # make an account at the first log-in
    link_by_email: bool = False  # a verified address opens the account that has it

    @model_validator(mode="after")
    def _no_role_above_the_highest(self) -> Self:
        for role in (*self.roles.values(), self.default_role):
            if role is not None and not self.may_give(role):
                raise ValueError(f"role {role!r} is above highest_role {self.highest_role!r}")
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("an issuer is reached by https; by http on loopback alone")
        return self

    def may_give(self, role: str) -> bool:
        """Says whether a log-in may give this role; who reads only is above nobody."""
        if role == "auditor":
            return True
        return role in _RANK and _RANK.index(role) <= _RANK.index(self.highest_role)

    def client_secret(self) -> str | None:
        """Reads the client's secret, where there is one."""
        if self.client_secret_file is None:
            return None
        return self.client_secret_file.read_text(encoding="utf-8").strip()
