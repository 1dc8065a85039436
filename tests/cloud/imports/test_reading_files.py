"""Files as real spreadsheets write them: encodings, separators, quotes, dates, numbers."""

import gzip
import io
import tracemalloc
import zipfile
from datetime import date
from typing import Any

import pytest
from hesper_cloud.csv_lines import cell, document, plain
from hesper_cloud.imports import sheets
from hesper_cloud.imports.amounts import Habits, read_date, read_megabytes
from hesper_cloud.imports.columns import KINDS, template
from hesper_cloud.imports.encodings import decoded
from hesper_cloud.imports.problems import Bad, NotASheet
from hesper_cloud.imports.rows import cleaned, reader
from hesper_cloud.imports.sheets import opened

TEMPLATES = {
    "customers": "customerName,accountNumber,address,phoneNumber,email,area,meterAssigned,"
    "customerType,tariffPlan,connectionDate",
    "meters": "meterNumber,concentratorId,meterType,brand,model,firmware,ipAddress,port,area,"
    "customer,simCard",
    "simcards": "simNumber,iccid,imsi,msisdn,provider,status,ipAddress,apn,dataLimit,"
    "activationDate",
    "simuse": "iccid,dataUsed",
}
HEADER = TEMPLATES["customers"]
ROW = "Jürgen Müller,A-7,,,,,,,,"


def rows_of(octets: bytes, kind: Any = "customers", **told: Any) -> list[list[str]]:
    sheet = opened(octets, kind, told.get("encoding"), told.get("separator"))
    return [row.cells for row in sheet.rows()]


@pytest.mark.parametrize("kind", KINDS)
def test_templates_have_exactly_the_columns_and_are_files_themselves(kind: Any) -> None:
    octets = template(kind)
    assert octets.decode("utf-8-sig") == TEMPLATES[kind] + "\r\n"
    assert rows_of(octets, kind) == []


@pytest.mark.parametrize(
    ("codec", "told", "found"),
    [
        ("utf-8", None, "utf-8"),
        ("utf-8-sig", None, "utf-8"),
        ("utf-16", None, "utf-16"),
        ("utf-16-le", None, "utf-16-le"),
        ("utf-16-be", None, "utf-16-be"),
        ("windows-1252", None, "windows-1252"),
        ("windows-1250", "windows-1250", "windows-1250"),
    ],
)
def test_encodings_of_spreadsheets_are_found_or_told(codec: str, told: Any, found: str) -> None:
    octets = f"{HEADER}\r\n{ROW}\r\n".encode(codec)
    assert decoded(octets, told)[1] == found
    assert rows_of(octets, encoding=told)[0][0] == "Jürgen Müller"


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"customerName\x00", None),
        (b"\x81\x8d", None),
        (b"M\xfcller", "utf-8"),
        ("Jürgen Müller\n".encode() + "Jürgen Müller\n".encode("windows-1252"), None),
        ("Jürgen Müller".encode()[:-5], None),
    ],
)
def test_what_is_no_text_says_what_to_do(octets: bytes, told: Any) -> None:
    with pytest.raises(NotASheet, match="CSV UTF-8"):
        decoded(octets, told)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\r\n\r\n"])
def test_separators_are_found(separator: str, before: str) -> None:
    text = before + HEADER.replace(",", separator) + "\r\n" + ROW.replace(",", separator)
    assert rows_of(text.encode())[0][:2] == ["Jürgen Müller", "A-7"]


def test_a_spreadsheet_may_tell_its_separator_and_leave_lines_and_columns_empty() -> None:
    text = f"sep=;\r\n{HEADER.replace(',', ';')};;;\r\n\r\n;;;;;;;;;;;\r\n"
    text += 'Ada;A-1;"Mill ""old"" 3;\r\n2nd floor";;;;;;;;;;\r\nBob;A-2\r\n'
    sheet = opened(text.encode(), "customers", None, None)
    rows = list(sheet.rows())
    assert [(row.number, row.cells[1], row.beyond) for row in rows] == [
        (5, "A-1", ""),
        (6, "A-2", ""),
    ]
    found = reader("customers", Habits())(rows[0])
    assert found.values["address"] == 'Mill "old" 3;, 2nd floor'


def test_columns_may_stand_in_another_order_and_be_spelt_as_people_do() -> None:
    text = "Account Number;reason;CUSTOMER_NAME\r\nA-7;was wrong;Ada\r\n"
    assert rows_of(text.encode())[0][:2] == ["Ada", "A-7"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names the columns: customerName"),
        ("one,two\r\n1,2\r\n", "names the columns: customerName"),
        (f"{HEADER},shoeSize\r\n", "have no column shoeSize"),
        ("customerName\r\nAda\r\n", "accountNumber is missing"),
        (f"{HEADER},email\r\n", "email is there twice"),
    ],
)
def test_another_header_is_refused_with_the_columns(text: str, says: str) -> None:
    with pytest.raises(NotASheet, match=says):
        opened(text.encode(), "customers", None, None)


def test_a_quote_that_is_not_closed_names_its_row() -> None:
    with pytest.raises(NotASheet, match="row 3"):
        rows_of(f'{HEADER}\r\n{ROW}\r\n"Ada,A-2\r\n'.encode())


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 3)
    text = HEADER + "\n" + "Ada,A\n" * 4
    with pytest.raises(NotASheet, match="more than 3"):
        rows_of(text.encode())


@pytest.mark.parametrize(
    ("text", "told", "found"),
    [
        ("2026-03-29", None, date(2026, 3, 29)),
        ("2026-03-29T00:00:00", None, date(2026, 3, 29)),
        ("2026/3/9", None, date(2026, 3, 9)),
        ("29.3.2026", None, date(2026, 3, 29)),
        ("03.04.2026 00:00", None, date(2026, 4, 3)),
        ("29/03/2026", None, date(2026, 3, 29)),
        ("03/29/2026", None, date(2026, 3, 29)),
        ("04/04/2026", None, date(2026, 4, 4)),
        ("03/04/2026", "mdy", date(2026, 3, 4)),
        ("03/04/2026", "dmy", date(2026, 4, 3)),
        ("03/04/2026", None, "ambiguous_date"),
        ("03-04-2026", None, "ambiguous_date"),
        ("29/13/2026", None, "no_such_day"),
        ("31.02.2026", None, "no_such_day"),
        ("1.2.26", None, "short_year"),
        ("46110", None, "day_number"),
        ("1.1.0026", None, "year_out_of_range"),
        ("last spring", None, "not_a_date"),
        ("٢٠٢٦-٠٣-٢٩", None, "not_a_date"),
    ],
)
def test_dates(text: str, told: Any, found: date | str) -> None:
    assert told_or_refused(read_date, text, Habits(dates=told)) == found


@pytest.mark.parametrize(
    ("text", "mark", "found"),
    [
        ("500", None, 500),
        ("1,5 GB", None, 1500),
        ("1.5GB", None, 1500),
        ("1.234,5", None, 1234),
        ("1,234.5 MB", None, 1234),
        ("1'000", None, 1000),
        ("2 TB", None, 2_000_000),
        ("1.234", ".", 1),
        ("1.234", ",", 1234),
        ("1.234", None, "ambiguous_number"),
        ("1,2,3", None, "not_a_number"),
        ("5 apples", None, "unknown_unit"),
        ("-5", None, "not_a_number"),
        ("9" * 30, None, "too_large"),
    ],
)
def test_amounts_of_data(text: str, mark: Any, found: int | str) -> None:
    assert told_or_refused(read_megabytes, text, Habits(decimal=mark)) == found


def told_or_refused(read: Any, text: str, habits: Habits) -> Any:
    try:
        return read(text, habits)
    except Bad as bad:
        return bad.code if bad.advice else "no advice"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("  Ada \u00a0 Byron ", "Ada Byron"),
        ('="0012"', "0012"),
        ("'+43 1 234", "+43 1 234"),
        ("'tis", "'tis"),
        ("Ada\u0007", "control_character"),
        ("Ada\u202eByron", "control_character"),
        ("x" * 1001, "too_long"),
    ],
)
def test_cells_lose_what_spreadsheets_put_around_them(raw: str, found: str) -> None:
    assert told_or_refused(lambda text, _: cleaned(text), raw, Habits()) == found


FORMULAS = ("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_that_is_given_out_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert plain(cell(text)) == text


@pytest.mark.parametrize("text", ["", "Ada", "-12.50", "-7", "12", "'quoted'", "a=b"])
def test_harmless_cells_stay_as_they_are(text: str) -> None:
    assert cell(text) == text
    assert document([[text, -1, None]]) == f"{text},-1,\r\n"


def zipped() -> bytes:
    """Returns a workbook-like archive that grows to ten megabytes."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(10 * 1024 * 1024))
    return octets.getvalue()


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (zipped(), "save it as CSV UTF-8"),
        (gzip.compress(b"a" * 10**6), "save it as CSV UTF-8"),
        (f"{HEADER}\nA\0da,A-1,,,,,,,,\n".encode(), "zeros in the file"),
        (HEADER.encode() + b",area" * 200_000, "the first row names the columns"),
        (b"area," * 200_000 + b"\n", "the first row names the columns"),
        (b"," * 1_000_000, "the first row names the columns"),
        (f"{HEADER}\n{ROW}\n{',' * 1_000_000}\n".encode(), "more than 200 columns"),
        (f"{HEADER}\n{'x' * 1_000_000},A-1\n".encode(), "a cell is far too long"),
        (f'{HEADER}\n"{"x" * 1_000_000}\n'.encode(), "a cell is far too long"),
    ],
    ids=["zip bomb", "gzip", "zero", "columns", "columns twice", "commas", "row", "cell", "quote"],
)
def test_files_made_to_break_the_reader_are_refused_at_once(octets: bytes, says: str) -> None:
    tracemalloc.start()
    with pytest.raises(NotASheet, match=says):
        rows_of(octets)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * len(octets) + 4 * 1024 * 1024


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_old_and_new_systems_end_them(end: str) -> None:
    text = end.join([HEADER, 'Ada,"A-\n1",,,,,,,,', "", "Bob,A-2,,,,,,,,"])
    assert [cells[:2] for cells in rows_of(text.encode())] == [["Ada", "A-\n1"], ["Bob", "A-2"]]
