"""A device takes a gateway's name: what a token proves, and what changes with it.

Theory of operation. Tokens, kept configurations and gateways' keys are rows of the authority's own
database; only it and the operator of its machine write them. The web process carries the signed ask
and the sealed token and can neither make nor alter either. Of the registry one thing is looked at:
whether it has heard of the gateway. Whoever adds it there makes the new device careful, nothing
more; whoever takes it away lets one go on without care whose own key, or none, is on record.

One transaction checks the token, writes the audit rows, puts the device's key on record (results
signed with the one before it are not believed from then on), and keeps the hash of a fresh broker
password and the signed answer. `broker_accounts` then shuts the old password out. A token serves
one ask. The same ask again, for its answer was lost, gets the same octets until the token expires
or another device has the name; nothing changes a second time.

Where there is a certificate authority, an ask that holds a signing request is answered with a
certificate, and every certificate that the name had before ends (`revocations`). With an external
authority the token is not used until its certificate has come; the device repeats its ask.
"""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from hesper_contracts import enrolment, jsonbody
from hesper_contracts.enrolment import Answer, Ask, Configuration, Secrets
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Signer
from sqlalchemy import Engine, select

from hesper_cloud import audit
from hesper_cloud.authority import broker_accounts, revocations
from hesper_cloud.authority.broker_accounts import BrokerAccounts, password_hash
from hesper_cloud.authority.case import Case, Outcome, seal_context
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations
from hesper_cloud.authority.rules import Denied
from hesper_cloud.ca import issuing as certificates
from hesper_cloud.ca.issuing import Asking, Issuing
from hesper_cloud.ca.profile import CertificateRefused
from hesper_cloud.db.authority import (
    BrokerAccount,
    Certificate,
    EnrolmentToken,
    GatewayKey,
    KeptConfiguration,
    ShutOut,
)
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Gateway
from hesper_cloud.meter_keys import handing
from hesper_cloud.meter_keys.custody import Custody
from hesper_cloud.sealing import SealBroken
from hesper_cloud.vault import Locked, Vault, VaultBroken

NO_TOKEN = "the token is wrong, used or expired; make a new one at the head end"  # noqa: S105
NOT_YET = "the certificate is not signed yet by the external authority; repeat this later"
_PASSWORD_OCTETS = 32
_MOST_ASK = 8000


@dataclass(frozen=True, slots=True)
class Certificates:
    """What has to do with certificates: giving, renewing and ending them."""

    issuing: Issuing
    renewals: RenewalDesk
    revocations: Revocations


class EnrolmentDesk:
    """Settles asks of devices; holds the command key and the key of what is kept."""

    def __init__(
        self,
        signer: Signer,
        vault: Vault,
        accounts: BrokerAccounts,
        certificates: Certificates | None = None,
    ) -> None:
        self.signer = signer
        self.vault = vault
        self.accounts = accounts
        self.certificates = certificates

    def settle(self, authority: Engine, now: datetime) -> None:
        """Tells the broker what enrolments and revocations decided; answers renewals."""
        self.accounts.settle(authority)
        if self.certificates is not None:
            self.certificates.revocations.settle(authority, now)
            self.certificates.renewals.settle(authority, now)

    def troubles(self) -> dict[str, str]:
        """Returns what the broker could not be given, by the rule of the alert that tells it."""
        of_list = self.certificates.revocations.problem if self.certificates else None
        told = {broker_accounts.RULE: self.accounts.problem, revocations.RULE: of_list}
        return {rule: why for rule, why in told.items() if why is not None}

    def enrol(self, case: Case) -> Outcome:
        """Settles one ask; its outcome names the row that holds the answer.

        Raises:
            Denied: no token that is good, or nothing is kept for this gateway.
        """
        section = _section(case.asked.text("ask", _MOST_ASK))
        digest = enrolment.digest_of(section)
        try:
            ask = enrolment.read_ask(section)
            token = _token(case, ask)
            if token.used_by is None and not self._take(case, token, ask, digest):
                return {"token": token.digest, "waits": NOT_YET}
        except (Refused, CertificateRefused) as refusal:
            raise Denied(f"the ask does not hold: {refusal}") from None
        if not _is_holder(case, token, ask, digest):
            raise Denied(NO_TOKEN)
        return {"token": token.digest}

    def _take(self, case: Case, token: EnrolmentToken, ask: Ask, digest: bytes) -> bool:
        """Gives the name to this device; False, and nothing is given, while a certificate waits."""
        version, configuration = self._kept(case, ask.gateway)
        before = case.session.get(GatewayKey, ask.gateway)
        password = secrets.token_urlsafe(_PASSWORD_OCTETS)
        box = enrolment.seal(Secrets(configuration, password), ask.sealing_key, digest)
        certificate = self._certificate(case, ask)
        if certificate is None:
            return False
        answer = Answer(
            ask=digest,
            gateway=ask.gateway,
            version=version,
            replaces=_is_another(case, before, ask),
            broker_knows=self.accounts.is_automatic,
            box=box,
            certificate=certificate,
        )
        _audit(case, answer, before.public_key if before else None, ask.signing_key.hex())
        token.used_by, token.answer = digest.hex(), enrolment.sign_answer(answer, self.signer)
        _end_earlier(case, ask, certificate)
        _put_on_record(case, ask, password)
        return True

    def _certificate(self, case: Case, ask: Ask) -> bytes | None:
        """Returns the certificate that goes with the answer, empty for none; None: not yet."""
        issuing = self.certificates.issuing if self.certificates else None
        if issuing is None or not issuing.is_there or not ask.certificate_request:
            return b""
        actor = case.asked.requested_by
        asking = Asking(ask.gateway, ask.certificate_request, actor, ask.serial)
        return issuing.give(case.session, asking, case.now)

    def _kept(self, case: Case, gateway: str) -> tuple[int, Configuration]:
        newest = (
            select(KeptConfiguration)
            .where(KeptConfiguration.gateway == gateway)
            .order_by(KeptConfiguration.version.desc())
            .limit(1)
        )
        row = case.session.scalars(newest).first()
        if row is None:
            raise Denied(f"no configuration is kept; run: hesper-cloud gateway keep {gateway} FILE")
        try:
            octets = self.vault.unlock(
                Locked(row.wrapped_key, row.box), vault_context(gateway, row.version)
            )
            kept = jsonbody.decode(octets, Configuration)
            return row.version, handing.put_in(case.session, Custody(self.vault), kept)
        except VaultBroken as error:
            raise Denied(str(error)) from None


def vault_context(gateway: str, version: int) -> str:
    """Returns what a kept configuration is bound to."""
    return f"configuration {version} of {gateway}"


def _section(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Denied("the ask is not base64") from None


def _token(case: Case, ask: Ask) -> EnrolmentToken:
    """Returns the row of the token that came with an ask, which proves that it is known whole."""
    asked = case.asked
    context = seal_context(asked.kind, asked.requested_by, asked.idempotency_key, ask.gateway)
    try:
        secret = enrolment.Token.from_text(case.opener.open(asked.sealed or b"", context))
    except (SealBroken, Refused):
        raise Denied(NO_TOKEN) from None
    row = case.session.get(EnrolmentToken, secret.digest.hex())
    is_meant = hmac.compare_digest(secret.digest, ask.token_digest)
    if row is None or not is_meant or row.gateway != ask.gateway or case.now >= row.expires_at:
        raise Denied(NO_TOKEN)
    if row.serial is not None and row.serial != ask.serial:
        said = f"says {ask.serial}" if ask.serial else "says none"
        raise Denied(
            f"the token of {row.gateway} is for the device with serial number {row.serial}; "
            f"this one {said}"
        )
    return row


def _is_another(case: Case, before: GatewayKey | None, ask: Ask) -> bool:
    """Says whether somebody else may have borne this name.

    A device whose first answer was lost asks with another token; its own key is on record by then
    and tells nothing of who was there before.
    """
    if before is not None and before.public_key != ask.signing_key.hex():
        return True
    with reading(case.registry) as session:
        return session.get(Gateway, ask.gateway) is not None


def _is_holder(case: Case, token: EnrolmentToken, ask: Ask, digest: bytes) -> bool:
    """Says whether this very ask has used the token, and its device still has the name."""
    known = case.session.get(GatewayKey, ask.gateway)
    is_same = hmac.compare_digest(token.used_by or "", digest.hex())
    return is_same and known is not None and known.public_key == ask.signing_key.hex()


def _audit(case: Case, answer: Answer, old_key: str | None, new_key: str) -> None:
    why = "takes the place of another device" if answer.replaces else "first device of this name"
    for action, before, after in (
        ("gateway.enrol", None, f"configuration {answer.version}"),
        ("gateway.key", old_key, new_key),
        ("gateway.broker_password", None, "a fresh one"),
    ):
        entry = audit.Entry(case.asked.requested_by, action, answer.gateway, before, after, why)
        audit.append(case.session, case.now, entry)


def _end_earlier(case: Case, ask: Ask, certificate: bytes) -> None:
    """Ends what certificates the name had before; it is shut out no more."""
    earlier = (Certificate.name == ask.gateway) & (Certificate.kind == certificates.GATEWAY)
    if certificate:
        earlier &= Certificate.serial != certificates.serial_of(certificate)
    why = "another enrolment took its place"
    certificates.revoke(case.session, earlier, why, case.asked.requested_by, case.now)
    if (row := case.session.get(ShutOut, ask.gateway)) is not None:
        case.session.delete(row)


def _put_on_record(case: Case, ask: Ask, password: str) -> None:
    key = ask.signing_key.hex()
    hashed = password_hash(password)
    case.session.merge(GatewayKey(gateway=ask.gateway, public_key=key, added_at=case.now))
    case.session.merge(BrokerAccount(gateway=ask.gateway, password_hash=hashed, is_written=False))
