"""A broker that cannot be told who is shut out is an alert until it has been told."""

from pathlib import Path
from typing import Any

from hesper_cloud import certificates, keys
from hesper_cloud.authority.broker_accounts import BrokerAccounts
from hesper_cloud.authority.core import Authority
from hesper_cloud.authority.enrolment import Certificates, EnrolmentDesk
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations
from hesper_cloud.ca import custody
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.certificates import Desk
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert
from hesper_cloud.settings import CertificateSettings, EnrolmentSettings
from signing import GATEWAY, actions, give, request
from sqlalchemy import select


def started(head_end: Any, desk: Desk, folder: Path) -> Authority:
    """An authority that has just started; the broker reads its files where `broker` is there."""
    folder_of_keys = desk.settings.keys
    signer, reload = keys.command_signer(folder_of_keys), ("test", "-e", str(folder / "broker"))
    settings = CertificateSettings(list_file=folder / "revoked.pem")
    issuing = Issuing(custody.load(folder_of_keys), custody.load_chain(folder_of_keys), settings)
    accounts = EnrolmentSettings(password_file=folder / "passwords", reload=reload)
    enrolment = EnrolmentDesk(
        signer,
        keys.vault(folder_of_keys),
        BrokerAccounts(accounts),
        Certificates(
            issuing,
            RenewalDesk(issuing, signer, lambda *_: True),
            Revocations(issuing, reload, lambda _: None),
        ),
    )
    engines = (desk.databases.registry, desk.databases.authority)
    opener = keys.request_opener(folder_of_keys)
    return Authority(engines, signer, opener, head_end.outbox, head_end.clock, enrolment)


def alerts(head_end: Any) -> dict[str, str]:
    with reading(head_end.databases.registry) as session:
        rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
        return {row.rule: f"{row.severity}: {row.text}" for row in rows}


def test_a_broker_that_is_not_told_who_is_revoked_is_a_critical_alert_until_it_is(
    desk: Desk, head_end: Any, tmp_path: Path
) -> None:
    (tmp_path / "passwords").write_text(f"{GATEWAY}:$7$a-hash\n")
    give(desk, request(GATEWAY))
    certificates.shut_out(desk, GATEWAY, "stolen")
    started(head_end, desk, tmp_path).turn()
    told = alerts(head_end)
    assert set(told) == {"revocation-list", "broker-passwords"}
    assert told["revocation-list"].startswith("critical: The broker has not got")
    assert "exit status 1" in told["revocation-list"]
    assert "a-hash" not in str(told)
    assert actions(desk).count("alarm") == 2
    again = started(head_end, desk, tmp_path)
    again.turn()
    assert set(alerts(head_end)) == set(told)
    assert actions(desk).count("alarm") == 2, "told once, whatever restarts"
    (tmp_path / "broker").touch()
    started(head_end, desk, tmp_path).turn()
    assert alerts(head_end) == {}
    assert (tmp_path / "passwords").read_text() == ""
