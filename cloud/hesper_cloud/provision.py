"""What the operator of the machine sets up: databases, keys, policy, accounts, gateways.

These run as the owner of the authority's database, from the command line. Each leaves its row in
the audit log before it takes effect, in the name of the machine's operator.
"""

import getpass
import json
import re
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hesper_contracts.topics import gateway_id
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from hesper_cloud import audit, keys
from hesper_cloud.accounts.passwords import hash_password
from hesper_cloud.accounts.roles import Role
from hesper_cloud.accounts.terms import check_username, role_named
from hesper_cloud.authority.policy import POLICIES
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import (
    Certificate,
    EnrolmentToken,
    GatewayKey,
    KeptConfiguration,
    PolicyRow,
    Protection,
    ShutOut,
    User,
)
from hesper_cloud.db.engines import leave_readable, open_engine, reading, writing
from hesper_cloud.db.registry import Gateway
from hesper_cloud.settings import Settings

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
_NAMED_AT_MOST = 20


class ProvisioningError(Exception):
    """What was asked for cannot be set up; the text says what to change."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Databases:
    """Both databases, open for writing until `close`, or until nobody holds them."""

    registry: Engine
    authority: Engine

    @classmethod
    def open(cls, settings: Settings) -> "Databases":
        """Opens both and brings them to the present schema."""
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        databases = cls(
            open_engine(settings.database.url), open_engine(settings.database.authority_url)
        )
        migrate.upgrade(databases.registry, "registry")
        migrate.upgrade(databases.authority, "authority")
        weakref.finalize(databases, _close, databases.registry, databases.authority)
        return databases

    def close(self) -> None:
        """Releases every connection."""
        _close(self.registry, self.authority)


def _close(registry: Engine, authority: Engine) -> None:
    registry.dispose()
    leave_readable(authority)


def initialise(settings: Settings, policy: str | None = None) -> str:
    """Makes keys and databases and returns the name of the active policy; safe to repeat.

    Args:
        settings: Where everything is.
        policy: The one to activate; by default the active one stays, ``default`` at first.

    Raises:
        ProvisioningError: there is no policy of that name.
    """
    if policy not in {None, *POLICIES}:
        raise ProvisioningError(f"there is no policy {policy!r}; known: {', '.join(POLICIES)}")
    signing = ("commands", "receipts") if settings.hsm is None else ("receipts",)
    keys.create(settings.keys, signing)
    keys.vault(
        settings.keys
    )  # so that it is there to be hidden from the process that faces the web
    databases = Databases.open(settings)
    try:
        name = policy or _active_policy(databases.authority)
        if policy or name is None:
            name = name or "default"
            activate_policy(databases.authority, name, POLICIES[name].model_dump(mode="json"))
    finally:
        databases.close()
    return name


def _active_policy(authority: Engine) -> str | None:
    with reading(authority) as session:
        return session.scalar(select(PolicyRow.name).where(PolicyRow.active))


def activate_policy(authority: Engine, name: str, document: dict[str, Any]) -> None:
    """Stores a policy document under its name and makes it the active one."""
    with writing(authority) as session:
        active = session.scalars(select(PolicyRow).where(PolicyRow.active)).first()
        if active and (active.name, active.document) == (name, document):
            return
        told = json.dumps(document, ensure_ascii=False, sort_keys=True)
        note(session, "policy.activate", name, active.name if active else None, told)
        session.execute(update(PolicyRow).values(active=False))
        session.merge(PolicyRow(name=name, document=document, active=True))


def add_user(authority: Engine, username: str, role: str, password: str) -> None:
    """Adds an account, or gives an existing one this role and password and ends its sessions.

    Raises:
        ProvisioningError: name, role or password do not do.
    """
    try:
        check_username(username)
        if role_named(role) is Role.SERVICE:
            raise ProvisioningError("a service has no password: an admin makes it, and its tokens")
        password_hash = hash_password(password)
    except ValueError as error:
        raise ProvisioningError(str(error)) from None
    with writing(authority) as session:
        user = session.get(User, username)
        if user is not None and role != Role.ADMIN:
            _require_admin_beside(session, user)
        note(session, "user.set", username, user.role if user else None, role)
        if user is None:
            user = User(username=username, created_at=_now(), token_version=0)
            session.add(user)
        user.role, user.password_hash, user.disabled = role, password_hash, False
        user.scopes = user.given_at = None
        user.areas = None if role == Role.ADMIN else user.areas
        user.token_version += 1


def disable_user(authority: Engine, username: str) -> None:
    """Disables an account; its sessions and tokens end at once.

    Raises:
        ProvisioningError: there is no such account.
    """
    with writing(authority) as session:
        user = session.get(User, username)
        if user is None:
            raise ProvisioningError(f"there is no account {username!r}")
        _require_admin_beside(session, user)
        note(session, "user.disable", username, user.role, "disabled")
        user.disabled = True
        user.token_version += 1


def _require_admin_beside(session: Session, user: User) -> None:
    """Refuses to take away the last admin.

    Raises:
        ProvisioningError: this account is the only one.
    """
    others = select(User.username).where(
        User.role == Role.ADMIN, User.disabled.is_(False), User.username != user.username
    )
    if user.role == Role.ADMIN and not user.disabled and not session.scalar(others.limit(1)):
        raise ProvisioningError(f"{user.username} is the last admin; make another one first")


def add_gateway(
    databases: Databases, gateway: str, public_key: str, *, replace: bool = False
) -> None:
    """Puts a gateway's public key on record, for its results to be believed; safe to repeat.

    Args:
        databases: Where.
        gateway: Its name.
        public_key: Ed25519, hex.
        replace: Take the place of another key, and let in again who was shut out.

    Raises:
        ProvisioningError: the key is not 64 hex digits, the name cannot name a gateway, or without
            ``replace`` it has another key or was shut out.
    """
    key = public_key.strip().lower()
    if not _PUBLIC_KEY.fullmatch(key):
        raise ProvisioningError("a gateway's public key is 64 hex digits (Ed25519)")
    try:
        gateway_id(gateway)
    except ValueError as error:
        raise ProvisioningError(str(error)) from None
    with writing(databases.authority) as session:
        before = session.get(GatewayKey, gateway)
        if not replace:
            _require_free(session, gateway, key)
        if before is None or before.public_key != key:
            note(session, "gateway.key", gateway, before.public_key if before else None, key)
            session.merge(GatewayKey(gateway=gateway, public_key=key, added_at=_now()))
        if (out := session.get(ShutOut, gateway)) is not None:
            session.delete(out)
    with writing(databases.registry) as session:
        row = session.get(Gateway, gateway)
        if row is None:
            row = Gateway(id=gateway, first_seen_at=_now())
            session.add(row)
        row.public_key = key


def _require_free(session: Session, gateway: str, key: str) -> None:
    """Refuses a name that was shut out, or that has another key.

    Raises:
        ProvisioningError: it is one of them.
    """
    known, out = session.get(GatewayKey, gateway), session.get(ShutOut, gateway)
    if out is not None:
        raise ProvisioningError(f"{gateway} was shut out ({out.why}); to let it in: --replace")
    if known is not None and known.public_key != key:
        raise ProvisioningError(f"{gateway} has another key; to take its place: --replace")


def require_gateways(databases: Databases, *gateways: str) -> None:
    """Passes where gateways are on record: enrolled or about to be, certified, or heard of.

    Raises:
        ProvisioningError: one is not; the error names it, and those that are.
    """
    columns = (GatewayKey.gateway, EnrolmentToken.gateway, KeptConfiguration.gateway)
    certified = select(Certificate.name).where(Certificate.kind == "gateway")  # not of a broker
    with reading(databases.registry) as session:
        known = set(session.scalars(select(Gateway.id)))
    with reading(databases.authority) as session:
        for wanted in (*map(select, columns), certified):
            known.update(session.scalars(wanted.distinct()))
    unknown = sorted(set(gateways) - known)
    if unknown:
        names = ", ".join(sorted(known)[:_NAMED_AT_MOST]) or "none"
        more = ", …" if len(known) > _NAMED_AT_MOST else ""
        told = ", ".join(unknown[:_NAMED_AT_MOST])
        raise ProvisioningError(f"there is no gateway {told}; on record: {names}{more}")


def protect_meters(authority: Engine, meters: dict[str, str]) -> None:
    """Lists meters (serial → cause) whose supply is never cut."""
    with writing(authority) as session:
        for meter, cause in meters.items():
            known = session.get(Protection, meter)
            if known is None or known.cause != cause:
                note(session, "meter.protect", meter, known.cause if known else None, cause)
                session.merge(Protection(meter=meter, cause=cause, added_at=_now()))


def note(
    session: Session,
    action: str,
    subject: str,
    before: str | None,
    after: str,
    why: str | None = None,
) -> int:
    """Leaves a row in the audit log, in the operator's name; returns its number."""
    return audit.append(
        session, _now(), audit.Entry(operator(), action, subject, before, after, why)
    ).sequence


def operator() -> str:
    """Returns the operator's name in the audit log."""
    return f"operator:{getpass.getuser()}"


def _now() -> datetime:
    return datetime.now(UTC)
