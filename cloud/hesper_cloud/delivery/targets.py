"""Where messages may go: what each kind of target is told, and its secret."""

import re
import ssl
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_LONGEST_CERTIFICATES = 32_768


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OverTls(_Target):
    """One that is reached over TLS, by certificates of the machine or of an authority given."""

    ca: str = Field(default="", max_length=_LONGEST_CERTIFICATES, description="PEM, in its place")

    def context(self) -> ssl.SSLContext:
        """Returns what checks the other side's certificate and name."""
        context = ssl.create_default_context(cadata=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @model_validator(mode="after")
    def _certificates_load(self) -> Self:
        try:
            self.context()
        except (ssl.SSLError, TypeError, ValueError):  # TypeError: not ASCII
            raise ValueError("ca: certificates in PEM are expected") from None
        return self


class Email(_OverTls):
    """A mail server and who is written to; the secret is the password at the server."""

    kind: Literal["email"]
    host: str = Field(max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = Field(default="", max_length=254)
    sender: str = Field(max_length=320)
    recipients: tuple[str, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not _HOST.fullmatch(self.host):
            raise ValueError("host: a name or an address is expected")
        for address in (self.sender, *self.recipients):
            if not _MAIL.fullmatch(address):
                raise ValueError("an address like name@example.com is expected")
        if not self.username.isprintable():
            raise ValueError("username: printable characters are expected")
        if self.username and self.security == "none":
            raise ValueError("a password is sent over TLS alone: use starttls or tls")
        return self


class Webhook(_OverTls):
    """An address that takes signed JSON; the secret is the key of the signature."""

    kind: Literal["webhook"]
    url: str = Field(max_length=2000)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise ValueError("url: plain ASCII is expected; encode the rest with %")
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            raise ValueError(
                "url: an address like https://example.com/alerts is expected"
            ) from None
        if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
            raise ValueError("url: an address like https://example.com/alerts is expected")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("url: without user, password and fragment")
        return self


class Mqtt(_Target):
    """Our own broker: ``<root>/cloud/alerts/<name of the target>/<severity>``; no secret."""

    kind: Literal["mqtt"]


Config = Annotated[Email | Webhook | Mqtt, Field(discriminator="kind")]


class AnyTarget(BaseModel):
    """Reads a stored configuration back."""

    config: Config


def config_of(stored: dict[str, object]) -> Email | Webhook | Mqtt:
    """Returns a configuration as it was stored."""
    return AnyTarget.model_validate({"config": stored}).config


def seal_context(target_id: int) -> str:
    """Returns what the secret of a target is bound to."""
    return f"delivery target {target_id}"
