"""Shipment files as spreadsheets and manufacturers write them, and everything that is wrong."""

import base64
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import Told, tell
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hesper_cloud import keys
from hesper_cloud.db.authority import AuditRow, MeterKeyRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.meter_keys import bringing, layout
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.key_set import KeySet
from hesper_cloud.meter_keys.layout import BadLayout, Layout
from hesper_cloud.meter_keys.shipment import Delivered, Fault, ShipmentRefused, TransportKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ORIGIN = Origin("operator:test", "a test", NOW)
EK, AK, MK = "a1" * 16, "b2" * 16, "c3" * 16
KEK = bytes(range(32))
CSV = f"serial,encryption_key,authentication_key,master_key\nM1,{EK},{AK},{MK}\nM2,{AK},{EK},{MK}\n"
XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<shipment><meter><serial>M1</serial><encryption_key>{EK}</encryption_key>
<authentication_key>{AK}</authentication_key><master_key>{MK}</master_key></meter>
<meter serial="M2"><encryption_key>{AK}</encryption_key>
<authentication_key>{EK}</authentication_key><master_key>{MK}</master_key></meter></shipment>"""
M1 = KeySet(
    encryption_key=bytes.fromhex(EK),
    authentication_key=bytes.fromhex(AK),
    master_key=bytes.fromhex(MK),
)


def read(
    folder: Path,
    content: str | bytes,
    how: Layout | None = None,
    kek: TransportKey | None = None,
) -> list[Delivered]:
    path = folder / "shipment"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return bringing.read(path, how or Layout(), kek)[0]


def faults(folder: Path, content: str | bytes, **options: Any) -> list[str]:
    with pytest.raises(ShipmentRefused) as refused:
        read(folder, content, **options)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("form", [CSV, XML], ids=["csv", "xml"])
def test_both_forms_say_the_same(tmp_path, form):
    first, second = read(tmp_path, form)
    assert (first.meter, first.keys) == ("M1", M1)
    assert (second.meter, second.keys.encryption_key.hex()) == ("M2", AK)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_spreadsheets_write_separators_and_encodings_of_their_own(tmp_path, encoding, separator):
    lines = [
        ["Serial No.", "Straße", "GUEK", "G-AK", "master key"],
        ['"M1"', '"Müller; & Söhne, 2|3"', f'"{EK}"', AK.upper(), f" {MK} "],
        ["", "", "", "", ""],
    ]
    text = "\r\n".join(separator.join(line) for line in lines).replace("Serial No.", "Serial No")
    (found,) = read(tmp_path, text.encode(encoding))
    assert (found.meter, found.keys) == ("M1", M1)


@pytest.mark.parametrize(
    "key",
    [
        EK.upper(),
        f"0x{EK}",
        " ".join(EK[n : n + 2] for n in range(0, 32, 2)),
        f"{EK[:16]}-{EK[16:]}",
    ],
)
def test_hex_is_read_as_people_write_it(tmp_path, key):
    (found,) = read(tmp_path, f"serial;encryption_key\nM1;{key}\n")
    assert found.keys.encryption_key.hex() == EK


def test_a_layout_fits_another_manufacturers_xml(tmp_path):
    path = tmp_path / "layout.toml"
    path.write_text(
        'meter = "Device"\nencoding = "base64"\n[columns]\nserial = "Id@number"\n'
        'encryption_key = "Keys/Key[@id=0]"\nauthentication_key = "Keys/Key[@id=2]"\n'
        'master_key = "Keys/Root@value"\n'
    )
    text = {name: base64.b64encode(bytes.fromhex(key)).decode() for name, key in
            (("ek", EK), ("ak", AK), ("mk", MK))}  # fmt: skip
    document = (
        '<v:Batch xmlns:v="urn:vendor"><v:Device><v:Id number="M1"/><v:Keys>'
        f'<v:Key id="0">{text["ek"]}</v:Key><v:Key id="2">{text["ak"]}</v:Key>'
        f'<v:Root value="{text["mk"]}"/></v:Keys></v:Device></v:Batch>'
    )
    (found,) = read(tmp_path, document, layout.load(path))
    assert (found.meter, found.keys) == ("M1", M1)


def test_keys_wrapped_under_a_transport_key_open_with_it_alone(tmp_path):
    wrapped = [aes_key_wrap(KEK, bytes.fromhex(key)).hex() for key in (EK, AK, MK)]
    content = f"serial,ek,ak,mk,password\nM1,{','.join(wrapped)},12345678\n"
    how = Layout(wrapped=("*",))
    (found,) = read(tmp_path, content, how, TransportKey(KEK.hex()))
    assert found.keys.encryption_key.hex() == EK
    assert found.keys.password == "12345678"
    told = faults(tmp_path, content, how=how, kek=TransportKey("00" * 32))
    assert told == [
        f"row 2, {name}_key: does not open with this transport key"
        for name in ("authentication", "encryption", "master")
    ]
    assert "--kek-file" in faults(tmp_path, content, how=how)[0]


@pytest.mark.parametrize("text", ["", "zz", "00" * 15, "00" * 33])
def test_what_is_no_transport_key_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match="transport key") as refused:
        TransportKey(text)
    assert "zz" not in str(refused.value)


WRONG = {
    "empty": ("", "row 1: the file is empty"),
    "no header": (f"M1,{EK}\n", "row 1, serial: the header must name"),
    "no key in the header": ("serial,street\nM1,x\n", "row 1, serial: the header must name"),
    "a column twice": (f"serial,ek,guek\nM1,{EK},{EK}\n", "row 1, encryption_key: two columns"),
    "no meter": ("serial,ek\n", "row 1: no meter is in it"),
    "no serial": (f"serial,ek\n,{EK}\n", "row 2, serial: 1 to 32 printable"),
    "a serial that is a sentence": (f"serial,ek\na b,{EK}\n", "row 2, serial: 1 to 32"),
    "a serial rounded": (f"serial,ek\n1.26429E+12,{EK}\n", "row 2, serial: a spreadsheet"),
    "a serial twice": (f"serial,ek\nM1,{EK}\nM1,{AK}\n", "row 3, serial: M1 stands in row 2, too"),
    "a key rounded": ("serial,ek\nM1,1.23457E+31\n", "row 2, encryption_key: a spreadsheet"),
    "zeros lost": (f"serial,ek\nM1,{EK[1:]}\n", "row 2, encryption_key: 31 hex digits: did a"),
    "not hex": ("serial,ek\nM1,secret-key-here!\n", "row 2, encryption_key: "),
    "too short": ("serial,ek\nM1,a1a1\n", "row 2, encryption_key: 2 octets, expected 16 or 32"),
    "two lengths": (f"serial,ek,ak\nM1,{EK},{AK}{AK}\n", "row 2, authentication_key: not as long"),
    "no keys in a row": ("serial,ek\nM1,\n", "row 2: no key at all"),
    "quotation marks": (f'serial,ek\n"M1,{EK}\n', "this line is no CSV"),
    "a type": (f'<!DOCTYPE s [<!ENTITY a "b">]>{XML[38:]}', "declares a document type"),
    "an outer entity": (
        '<!DOCTYPE s SYSTEM "file:///etc/passwd"><s/>',
        "declares a document type",
    ),
    "billion laughs": (
        '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>',
        "declares a document type",
    ),
    "an unknown entity": (XML.replace("M1", "&other;"), "no XML"),
    "not closed": (XML[:-5], "no XML"),
    "two keys": (XML.replace("<serial>", f"<guek>{AK}</guek><serial>"), "encryption_key twice"),
    "one key twice": (
        XML.replace("<serial>", f"<encryption_key>{AK}</encryption_key><serial>"),
        "encryption_key twice",
    ),
    "no such meter": ("<shipment><device/></shipment>", "does the layout fit?"),
    "too deep": ("<a>" * 40 + "</a>" * 40, "deep"),
    "too long": (XML.replace(EK, "a1" * 5000), "characters"),
    "too many fields": (
        "<s><meter>" + "".join(f"<f{n}>1</f{n}>" for n in range(600)) + "</meter></s>",
        "fields",
    ),
    "an unknown encoding": ('<?xml version="1.0" encoding="klingon"?><s/>', "no known encoding"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "told"), WRONG.values(), ids=WRONG)
def test_each_mistake_is_told_with_its_place_and_without_a_key(tmp_path, content, told):
    found = faults(tmp_path, content)
    assert told in "\n".join(found)
    assert not [secret for secret in (EK[:8], AK[:8], "secret", "1.23457") if secret in str(found)]


def test_every_mistake_is_told_at_once(tmp_path):
    told = faults(tmp_path, f"serial,ek,ak\nM1,zz,{AK}\n,{EK},{AK}\nM3,{EK},00\n")
    assert [text.split(":")[0] for text in told] == [
        "row 2, encryption_key",
        "row 3, serial",
        "row 4, authentication_key",
    ]


@pytest.mark.parametrize(
    "text",
    ["[columns]\nother = 'x'\n", "encoding = 'rot13'\n", "wrapped = ['x']", "meter = 7", "["],
)
def test_a_layout_that_cannot_be_meant_is_refused(tmp_path, text):
    path = tmp_path / "layout.toml"
    path.write_text(text)
    with pytest.raises(BadLayout, match=r"layout\.toml"):
        layout.load(path)


@settings(max_examples=150, deadline=None)
@given(
    octets=st.one_of(
        st.binary(max_size=400),
        st.text(max_size=300).map(str.encode),
        st.tuples(st.integers(0, len(XML) - 1), st.binary(max_size=6)).map(
            lambda cut: XML.encode()[: cut[0]] + cut[1] + XML.encode()[cut[0] + len(cut[1]) :]
        ),
        st.tuples(st.integers(0, len(CSV) - 1), st.binary(max_size=6)).map(
            lambda cut: CSV.encode()[: cut[0]] + cut[1] + CSV.encode()[cut[0] + len(cut[1]) :]
        ),
    )
)
def test_garbage_ends_in_faults_or_in_keys_and_in_nothing_else(tmp_path_factory, octets):
    folder = tmp_path_factory.getbasetemp()
    told: tuple[Fault, ...] = ()
    found: list[Delivered] = []
    try:
        found = read(folder, octets)
    except ShipmentRefused as refused:
        told = refused.faults
    assert bool(told) is not bool(found)
    assert EK not in "".join(map(str, told))
    assert all(each.keys.names for each in found)


class Desk:
    """A head end's custody, and how many sets are in it."""

    def __init__(self, head_end: Any, folder: Path) -> None:
        self.engine, self.folder = head_end.databases.authority, folder
        self.custody = Custody(keys.vault(head_end.settings.keys))

    def bring(self, content: str, *, replace: bool = False) -> bringing.Brought:
        found = read(self.folder, content)
        return bringing.bring(self.engine, self.custody, found, ORIGIN, replace=replace)

    def count(self) -> int:
        with reading(self.engine) as session:
            return session.scalar(select(func.count()).select_from(MeterKeyRow)) or 0

    def current(self, meter: str) -> KeySet | None:
        with reading(self.engine) as session:
            return self.custody.current(session, meter)


@pytest.fixture
def desk(head_end, tmp_path):
    return Desk(head_end, tmp_path)


def test_a_shipment_is_in_custody_and_the_same_again_changes_nothing(desk):
    assert desk.bring(CSV) == bringing.Brought(2, 2)
    assert desk.current("M1") == M1
    assert desk.bring(XML) == bringing.Brought(2, 0)
    assert desk.count() == 2
    with reading(desk.engine) as session:
        rows = select(AuditRow).where(AuditRow.action.startswith("keys."))
        told = [(row.action, row.subject, row.after) for row in session.scalars(rows)]
    assert told[:3] == [
        ("keys.import", "a test", "2 of 2"),
        ("keys.put", "M1", "version 1"),
        ("keys.put", "M2", "version 1"),
    ]


def test_a_dry_run_does_nothing(desk):
    found = read(desk.folder, CSV)
    assert bringing.check(desk.engine, desk.custody, found, replace=False).new == 2
    assert desk.count() == 0


def test_keys_that_are_kept_are_replaced_only_when_that_is_said(desk):
    desk.bring(CSV)
    other = CSV.replace(f"M2,{AK}", f"M2,{MK}") + f"M3,{EK},{AK},{MK}\n"
    with pytest.raises(ShipmentRefused, match="row 3, serial: other keys of M2 are kept"):
        desk.bring(other)
    assert desk.current("M3") is None
    assert desk.bring(other, replace=True) == bringing.Brought(3, 2)
    assert desk.current("M2").encryption_key.hex() == MK


def test_keys_of_a_meter_whose_change_is_open_are_not_replaced(desk):
    desk.bring(CSV)
    with writing(desk.engine) as session:
        desk.custody.begin(session, "c-1", "M2", ["encryption_key"], ORIGIN)
    other = CSV.replace(f"M2,{AK}", f"M2,{MK}")
    with pytest.raises(ShipmentRefused, match="is under way"):
        desk.bring(other, replace=True)


def test_on_the_command_line_all_of_a_file_is_brought_or_nothing(head_end, tmp_path):
    def run(*words: object) -> Told:
        return tell(config, "keys", *words)

    config = tmp_path / "cloud.toml"
    config.write_text('state = "state"\n')
    wrong, kek, right = tmp_path / "wrong.csv", tmp_path / "kek", tmp_path / "right.csv"
    wrong.write_text(CSV.replace(MK, "oops-not-hex!"))
    refused = run("import", wrong)
    assert refused.returncode == 1
    assert refused.stderr.endswith("2 faults: nothing was imported\n")
    kek.write_text(KEK.hex())
    kek.chmod(0o644)
    assert "chmod 600" in run("import", wrong, "--kek-file", kek).stderr
    right.write_text(CSV)
    assert "would be new" in run("import", right, "--dry-run").stdout
    assert run("import", right).stdout == "2 meters, of 2 the keys are new here\n"
    shown = run("show", "M1").stdout
    assert "current" in shown
    assert "right.csv" in shown
    rotated = run("rotate-master")
    assert "2 rows are under master key" in rotated.stdout, rotated.stderr
    delivery = run("rotate-master", "--delivery")
    assert "0 rows are under master key" in delivery.stdout, delivery.stderr
    vault = head_end.settings.keys / "vault.key"
    vault.write_text("00" * 32)
    wrong_master = run("import", right)
    assert wrong_master.returncode == 2
    assert "does not open with this master key" in wrong_master.stderr
    told = refused.stdout + refused.stderr + shown + rotated.stdout + wrong_master.stderr
    assert not [key for key in (EK, AK, MK, "oops") if key in told]
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
