"""Second factors as the authority keeps them: secrets locked, each code good once.

Nobody but the authority can open a secret. What a person types when they approve travels sealed,
password and code together; the web process asks the authority to check a login.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.accounts import factors
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.decisions import SecondFactor
from hesper_cloud.vault import Locked, Vault, VaultBroken


def of(session: Session, username: str) -> SecondFactor | None:
    """Returns the second factor of an account, if it has one."""
    return session.get(SecondFactor, username)


def take(
    session: Session, vault: Vault | None, factor: SecondFactor, code: str, now: datetime
) -> bool:
    """Says whether a code is the account's, and takes it: it fits once.

    Raises:
        Denied: this authority cannot open the secret.
    """
    step = factors.step_of(_secret(vault, factor), code, now, factor.last_step)
    if step is not None:
        factor.last_step = step
        return True
    digest = factors.recovery_digest(code)
    if digest not in factor.recovery:
        return False
    left = [each for each in factor.recovery if each != digest]
    entry = audit.Entry(
        factor.username, "factor.recovery", factor.username, after=f"{len(left)} codes are left"
    )
    audit.append(session, now, entry)
    factor.recovery = left
    return True


def put(session: Session, vault: Vault, enrolled: factors.Enrolled, now: datetime) -> None:
    """Stores an account's factor in the place of an older one; auditing it is the caller's."""
    locked = vault.lock(enrolled.secret.encode("ascii"), vault_context(enrolled.username))
    session.merge(
        SecondFactor(
            username=enrolled.username,
            wrapped_key=locked.wrapped_key,
            box=locked.box,
            last_step=enrolled.step,
            recovery=[factors.recovery_digest(code) for code in enrolled.recovery],
            enrolled_at=now,
        )
    )


def vault_context(username: str) -> str:
    return f"second factor of {username}"


def _secret(vault: Vault | None, factor: SecondFactor) -> str:
    if vault is None:
        raise Denied("second factors cannot be opened here")
    locked = Locked(factor.wrapped_key, factor.box)
    try:
        return vault.unlock(locked, vault_context(factor.username)).decode("ascii")
    except VaultBroken:
        raise Denied("the second factor cannot be opened: another master key") from None
