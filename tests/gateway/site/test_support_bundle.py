"""`hesper-gateway support-bundle`: everything support needs, and not one secret."""

import json
import re
import tarfile

import pytest
from hesper_gateway.database import DATABASE_NAME, SCHEMA_VERSION, Database

pytestmark = pytest.mark.integration
PEM = """\
-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUQm9n
c29tZXRoaW5nc2VjcmV0
-----END CERTIFICATE-----
"""
OWN, NEXT = (PEM.replace("MII", begin) for begin in ("OWN", "NXT"))
PASSWORD = "correct-horse-battery"
PIN = "7391"
CHANGED, PENDING = "5ec1" * 8, "5ec2" * 8
LOG = "2026-11-21T05:00:00 host hesper-gateway: WARNING meter {meter}: gone at line: {leak}\n"


@pytest.fixture
def secret_table(table):
    """A gateway.toml with every kind of secret that it can lead to; returned with them."""
    (table.folder / "broker.password").write_text(PASSWORD + "\n")
    for name, text in (("ca.pem", PEM), ("broker.pem", OWN), ("broker.pem.next", NEXT)):
        (table.folder / name).write_text(text)
    (table.folder / "sim.pin").write_text(PIN + "\n")
    path = table.write(phone="+441632960961")
    text = path.read_text().replace(
        "[broker]\n",
        '[broker]\npassword_file = "broker.password"\ntls_ca = "ca.pem"\n'
        'certificate = "broker.pem"\n',
    )
    text += '[[modems]]\nname = "m"\npath = "/dev/modem"\npin_file = "sim.pin"\n'
    path.write_text(text + 'commands = ["AT+CGAUTH=1,1,hush-hush"]\n')
    changed = table.folder / "state" / "keys" / "HES1.json"
    changed.parent.mkdir(parents=True)
    keys = {"keys": {"encryption_key": CHANGED}, "pending": {"encryption_key": PENDING}}
    changed.write_text(json.dumps(keys))
    for each in table.folder.iterdir():
        if each.is_file():
            each.chmod(0o600)
    secrets = [
        PASSWORD,
        CHANGED,
        PENDING,
        PIN,
        "hush-hush",
        "+441632960961",
        *PEM.splitlines()[1:3],
        *OWN.splitlines()[1:2],
        *NEXT.splitlines()[1:2],
    ]
    secrets.append((table.folder / "gateway.key").read_text().strip())
    for meter in table.meters.values():
        names = ("encryption_key", "authentication_key", "password")
        secrets += [meter[name] for name in names if meter[name]]
    return table, secrets


def bundle_of(table, *options):
    ended = table.ended(
        "hesper-gateway", "support-bundle", "-c", table.folder / "gateway.toml",
        "-o", table.folder, *options,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (path,) = table.folder.glob("hesper-support-*.tar.gz")
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        texts = {
            entry.name.rpartition("/")[2]: archive.extractfile(entry).read().decode()
            for entry in archive
        }
    return texts, ended.stdout


def test_no_secret_is_in_the_archive_even_where_the_log_leaked_one(secret_table):
    table, secrets = secret_table
    assert len(secrets) >= 12
    serial = table.meters["tcp"]["serial"]
    leaks = [*secrets, *(secret.upper() for secret in secrets)]
    log = table.folder / "agent.log"
    log.write_text("".join(LOG.format(meter=serial, leak=leak) for leak in leaks))
    texts, shown = bundle_of(table, "--log", log)
    for secret in secrets:
        for name, text in {**texts, "stdout": shown}.items():
            found = re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text, re.IGNORECASE)
            assert found is None, (name, secret)
    assert "gone at line: (left out)" in texts["gateway.log"]


def test_a_secret_that_json_spells_differently_is_left_out_too(secret_table):
    table, _ = secret_table
    password = 'quote"me-höflich'
    (table.folder / "broker.password").write_text(password + "\n", encoding="utf-8")
    Database(table.folder / "state" / DATABASE_NAME, ballast_octets=0).close()
    log = table.folder / "agent.log"
    log.write_text(LOG.format(meter=table.meters["tcp"]["serial"], leak=password), "utf-8")
    texts, _ = bundle_of(table, "--log", log)
    assert "gone at line: (left out)" in texts["findings.json"]
    assert not any("me-h" in text for text in texts.values())


def test_it_says_what_support_needs(table):
    code, _ = table.commission("tcp")
    assert code == 0
    texts, shown = bundle_of(table)
    found = json.loads(texts["findings.json"])
    assert found["versions"]["hesper"]
    assert found["database"] == {"schema_version": SCHEMA_VERSION, "quick_check": "ok"}
    assert found["queue"]["backlog_batches"] == 0
    assert found["room"]["disk_free"] > 0
    assert found["clock"]["synchronised"] in {"yes", "no", "unknown"}
    serial = table.meters["tcp"]["serial"]
    (reserved,) = found["meters"][serial]["counters_reserved"].values()
    assert reserved > 1
    assert found["meters"][serial]["engine"] == "hesper"
    assert found["configuration"]["meters"][0]["id"] in shown
    assert str(table.folder) in shown
    assert texts["summary.txt"] in shown


def test_a_file_that_does_not_load_is_not_copied(table):
    path = table.folder / "gateway.toml"
    path.write_text(path.read_text().replace("[broker]", '[broker]\npassword = "oops-secret"'))
    texts, shown = bundle_of(table)
    assert "password" in shown
    assert not any("oops-secret" in text for text in (*texts.values(), shown))


def test_without_a_database_the_rest_is_there(table):
    texts, _ = bundle_of(table)
    assert json.loads(texts["findings.json"])["database"].startswith("cannot be read")
