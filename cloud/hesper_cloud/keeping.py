"""What the operator of the machine keeps for gateways: configurations, and tokens to enrol with.

Like `provision`, these run as the owner of the authority's database and leave their audit row
before they take effect. Nothing that is kept is ever shown again, here or in the log.
"""

from datetime import datetime, timedelta
from pathlib import Path

from hesper_contracts import jsonbody
from hesper_contracts.enrolment import Token
from hesper_contracts.frame import Refused
from hesper_contracts.signing import key_id
from hesper_contracts.topics import gateway_id
from sqlalchemy import delete, func, select

from hesper_cloud import gateway_files, keys
from hesper_cloud.authority.enrolment import vault_context
from hesper_cloud.db.authority import BrokerAccount, EnrolmentToken, KeptConfiguration
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.gateway_files import FilesError
from hesper_cloud.meter_keys import handing
from hesper_cloud.meter_keys.custody import Custody, NoKeys, Origin
from hesper_cloud.provision import Databases, ProvisioningError, note, operator
from hesper_cloud.settings import Settings

MOST_HOURS = 24 * 30


def keep(settings: Settings, databases: Databases, gateway: str, path: Path, now: datetime) -> int:
    """Keeps a gateway's configuration, locked, as a new version; returns its number.

    Raises:
        ProvisioningError: it does not fit, or names files that are not there.
    """
    _check_name(gateway)
    public_keys = {
        "commands": keys.command_public_key(settings),
        "receipts": keys.receipt_signer(settings.keys).public_key,
    }
    trusted = {name: {key_id(each): each.hex()} for name, each in public_keys.items()}
    if settings.firmware.is_used:
        trusted["releases"] = settings.firmware.release_keys
    try:
        found = gateway_files.collect(path, gateway, trusted)
    except FilesError as error:
        raise ProvisioningError(str(error)) from None
    vault = keys.vault(settings.keys)
    origin = Origin(operator(), f"configuration of {gateway}", now)
    with writing(databases.authority) as session:
        newest = select(func.max(KeptConfiguration.version)).where(
            KeptConfiguration.gateway == gateway
        )
        before = session.scalar(newest) or 0
        version = before + 1
        note(session, "gateway.keep", gateway, f"version {before}", f"version {version}")
        try:
            found = handing.take_out(session, Custody(vault), found, origin)
        except NoKeys as reason:
            raise ProvisioningError(f"{path}: {reason}") from None
        locked = vault.lock(jsonbody.encode(found), vault_context(gateway, version))
        session.add(
            KeptConfiguration(
                gateway=gateway,
                version=version,
                kept_at=now,
                wrapped_key=locked.wrapped_key,
                box=locked.box,
            )
        )
    return version


def make_token(
    settings: Settings,
    databases: Databases,
    gateway: str,
    hours: int,
    now: datetime,
    serial: str | None = None,
) -> str:
    """Makes a token; earlier ones for this name that nobody has used end. Only its hash is kept.

    With a ``serial`` the token serves the device of this serial number alone.

    Raises:
        ProvisioningError: no such span, or nothing is kept that a device could be given.
    """
    _check_name(gateway)
    if not 1 <= hours <= MOST_HOURS:
        raise ProvisioningError(f"a token is good for 1 to {MOST_HOURS} hours")
    token = Token.make(gateway, keys.command_public_key(settings))
    expires_at = now + timedelta(hours=hours)
    with writing(databases.authority) as session:
        kept = KeptConfiguration.gateway == gateway
        if session.scalars(select(KeptConfiguration.version).where(kept).limit(1)).first() is None:
            raise ProvisioningError(
                f"nothing is kept for {gateway}; first: hesper-cloud gateway keep {gateway} FILE"
            )
        whose = f" for the device {serial}" if serial else ""
        note(session, "gateway.token", gateway, None, f"good until {expires_at.isoformat()}{whose}")
        unused = (EnrolmentToken.gateway == gateway) & EnrolmentToken.used_by.is_(None)
        session.execute(delete(EnrolmentToken).where(unused))
        row = EnrolmentToken(
            digest=token.digest.hex(),
            gateway=gateway,
            made_at=now,
            expires_at=expires_at,
            serial=serial,
        )
        session.add(row)
    return token.text


def account_line(databases: Databases, gateway: str) -> str:
    """Returns the line for the broker's password file; it holds a one-way hash.

    Raises:
        ProvisioningError: no device has enrolled under this name.
    """
    with reading(databases.authority) as session:
        row = session.get(BrokerAccount, gateway)
    if row is None or not row.password_hash:
        raise ProvisioningError(f"no device has enrolled as {gateway}")
    return f"{row.gateway}:{row.password_hash}"


def _check_name(gateway: str) -> None:
    try:
        gateway_id(gateway)
    except Refused as error:
        raise ProvisioningError(str(error)) from None
