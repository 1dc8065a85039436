"""The dry run: an error per row and column, duplicates, unknown references; nothing changes."""

import resource
from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import AssetChange, Customer, Gateway, Meter, Sim
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.problems import NotASheet

ADA = ["Ada Byron", "A-9", "Mill lane 3", "+43 1 234567", "ada@example.org", "North", "SEEN1"]
ADA += ["household", "T1", "29.3.2026"]
METER = ["M-1", "gw-1", "single phase", "Hesper", "HSP", "1.0.7", "10.0.0.1", "4059", "North"]
METER += ["A-1", "S-1"]
SIM = ["S-9", "89430000000000000099", "232011234567890", "+436601234567", "A1", "Active"]
SIM += ["10.9.0.1", "m2m.example", "1,5 GB", "2026-01-31"]
GOOD = {"customers": ADA, "meters": METER, "simcards": SIM}
ICCID = "89430000000000000010"
SEEN = ["SEEN1", *[""] * 10]


def with_cell(row: list[str], place: int, text: str) -> list[str]:
    return [*row[:place], f'"{text}"', *row[place + 1 :]]


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_row_is_good_and_changes_nothing(house: Any, kind: Any) -> None:
    before = [house.all(model) for model in (Customer, Meter, Sim, AssetChange)]
    _, trial = house.tried(kind, [with_cell(GOOD[kind], 8, GOOD[kind][8])])
    assert (trial.row_count, trial.good_count, dict(trial.problems)) == (1, 1, {})
    after = [house.all(model) for model in (Customer, Meter, Sim, AssetChange)]
    assert [len(rows) for rows in after] == [len(rows) for rows in before]


@pytest.mark.parametrize(
    ("kind", "place", "text", "column", "code"),
    [
        ("customers", 0, "", "customerName", "missing"),
        ("customers", 0, "x" * 201, "customerName", "too_long"),
        ("customers", 1, "", "accountNumber", "missing"),
        ("customers", 1, "1.23E+11", "accountNumber", "shortened_number"),
        ("customers", 1, "A-1", "accountNumber", "known_already"),
        ("customers", 3, "call me", "phoneNumber", "not_a_phone_number"),
        ("customers", 4, "ada at home", "email", "not_an_email"),
        ("customers", 5, "Atlantis", "area", "unknown_area"),
        ("customers", 6, "NOBODY", "meterAssigned", "unknown_meter"),
        ("customers", 8, "T9", "tariffPlan", "unknown_tariff"),
        ("customers", 9, "03/04/2026", "connectionDate", "ambiguous_date"),
        ("meters", 0, "two words", "meterNumber", "not_a_meter"),
        ("meters", 0, "M-9;gw-1;;", "meterNumber", "not_a_meter"),
        ("meters", 0, "KNOWN1", "meterNumber", "known_already"),
        ("meters", 1, "Bad Name", "concentratorId", "not_a_gateway"),
        ("meters", 1, "gw-9", "concentratorId", "unknown_gateway"),
        ("meters", 6, "10.0.0.300", "ipAddress", "not_an_ip_address"),
        ("meters", 7, "70000", "port", "not_a_port"),
        ("meters", 7, "40.000", "port", "not_a_port"),
        ("meters", 8, "Atlantis", "area", "unknown_area"),
        ("meters", 9, "A-77", "customer", "unknown_customer"),
        ("meters", 10, "S-77", "simCard", "unknown_sim"),
        ("meters", 10, "S-2", "simCard", "sim_retired"),
        ("simcards", 0, "S-1", "simNumber", "number_taken"),
        ("simcards", 1, ICCID, "iccid", "known_already"),
        ("simcards", 1, "8.943E+19", "iccid", "shortened_number"),
        ("simcards", 1, "1234", "iccid", "not_an_iccid"),
        ("simcards", 2, "12", "imsi", "not_an_imsi"),
        ("simcards", 3, "phone", "msisdn", "not_an_msisdn"),
        ("simcards", 5, "asleep", "status", "not_allowed"),
        ("simcards", 6, "::1::", "ipAddress", "not_an_ip_address"),
        ("simcards", 7, "m2m..", "apn", "not_an_apn"),
        ("simcards", 8, "1.234", "dataLimit", "ambiguous_number"),
        ("simcards", 9, "1.2.26", "activationDate", "short_year"),
    ],
)
def test_each_mistake_is_told_by_row_and_column(
    house: Any, kind: Any, place: int, text: str, column: str, code: str
) -> None:
    good = with_cell(GOOD[kind], 8, GOOD[kind][8])
    import_id, trial = house.tried(kind, [with_cell(good, place, text)])
    assert trial.good_count == 0
    assert (2, column, code) in house.problems(import_id)
    row = next(iter(house.rejected_rows(import_id)))
    told = next(each for each in row["problems"] if each["column"] == column)
    assert told["advice"]
    assert told["value"] == text.strip()[:80]


def test_all_mistakes_of_a_row_are_told_at_once(house: Any) -> None:
    import_id, _ = house.tried("meters", [["", "gw-9", *[""] * 5, "x", "Atlantis", "", "S-77"]])
    assert sorted(house.problems(import_id)) == [
        (2, "area", "unknown_area"),
        (2, "concentratorId", "unknown_gateway"),
        (2, "meterNumber", "missing"),
        (2, "port", "not_a_port"),
        (2, "simCard", "unknown_sim"),
    ]


def test_duplicates_inside_the_file_name_the_first_row(house: Any) -> None:
    rows = [["Ada", "A-8"], ["Bob", "A-7"], ["Cleo", "A-8"]]
    import_id, trial = house.tried("customers", [[*row, *[""] * 8] for row in rows])
    assert (trial.good_count, house.problems(import_id)) == (
        2,
        [(4, "accountNumber", "twice_in_file")],
    )
    row = next(iter(house.rejected_rows(import_id)))
    assert "row 2 has it already" in row["problems"][0]["advice"]


def test_a_card_serves_one_meter_and_a_meter_one_customer(house: Any) -> None:
    rows = [["M-1", *[""] * 9, "S-1"], ["M-2", *[""] * 9, "S-1"]]
    import_id, _ = house.tried("meters", rows)
    assert house.problems(import_id) == [(3, "simCard", "twice_in_file")]


def test_a_row_that_is_broader_than_its_header_is_refused(house: Any) -> None:
    import_id, _ = house.tried("customers", [["Ada", "A-8", *[""] * 8, "more"]])
    assert house.problems(import_id) == [(2, "", "too_many_cells")]


def test_told_habits_settle_what_may_be_two(house: Any) -> None:
    row = ["S-9", "89430000000000000099", *[""] * 6, "1.234", "03/04/2026"]
    _, trial = house.tried("simcards", [row], habits=Habits("mdy", "."))
    assert trial.good_count == 1


def test_who_is_for_one_area_brings_nothing_of_another(house: Any) -> None:
    rows = [["Ada", "A-8", "", "", "", area, "", "", "", ""] for area in ("South", "North", "")]
    rows = [[row[0], f"A-{20 + place}", *row[2:]] for place, row in enumerate(rows)]
    rows.append(["Eve", "A-30", "", "", "", "South", "SEEN1", "", "", ""])
    import_id, trial = house.tried("customers", rows, ("South",))
    assert trial.good_count == 1
    assert house.problems(import_id) == [
        (3, "area", "area_not_yours"),
        (4, "area", "area_not_yours"),
        (5, "meterAssigned", "unknown_meter"),
    ]


def test_a_meter_that_was_only_discovered_may_be_completed(house: Any) -> None:
    rows = [["SEEN1", "gw-1", *[""] * 9], ["SEEN1", "gw-2", *[""] * 9]]
    for row, found in zip(rows, ([], [(2, "concentratorId", "other_gateway")]), strict=True):
        import_id, _ = house.tried("meters", [row])
        assert house.problems(import_id) == found


def test_a_file_that_cannot_be_read_leaves_nothing_behind(house: Any) -> None:
    with pytest.raises(NotASheet):
        house.tried("customers", b'customerName,accountNumber\r\nAda,A-1\r\n"Bob,A-2\r\n')
    assert list((house.state / "imports").glob("*")) == []


def test_a_disk_that_is_full_half_way_leaves_nothing_behind(house: Any) -> None:
    rows = [with_cell(ADA, 1, f"A-{1000 + n}") for n in range(500)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            house.tried("customers", rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((house.state / "imports").iterdir()) == []


@pytest.mark.parametrize(
    ("area", "gateway", "found"),
    [
        (None, None, [(2, "meterNumber", "area_not_yours")]),
        ("South", None, []),
        ("North", "South", [(2, "meterNumber", "area_not_yours")]),
        (None, "South", []),
    ],
)
def test_who_is_for_some_areas_completes_what_was_discovered_there(
    house: Any, area: str | None, gateway: str | None, found: list[Any]
) -> None:
    with writing(house.registry) as session:
        session.get_one(Meter, "SEEN1").area = area
        session.get_one(Gateway, "gw-1").area = gateway
    import_id, _ = house.tried("meters", [with_cell(SEEN, 8, "South")], ("South",))
    assert house.problems(import_id) == found


@pytest.mark.parametrize("number", ["NEW1", "KEPT1"])
def test_a_meter_comes_behind_no_gateway_that_its_owner_does_not_see(
    house: Any, number: str
) -> None:
    """Behind a gateway is where one sees it, and who sees it may look at all that it says."""
    with writing(house.registry) as session:
        at = datetime(2026, 6, 1, tzinfo=UTC)
        session.add(Meter(id="KEPT1", life="stock", area="South", version=2, first_seen_at=at))
        session.get_one(Gateway, "gw-2").area = "South"
    row = with_cell(with_cell(SEEN, 0, number), 8, "South")
    for name, found in (("gw-1", [(2, "concentratorId", "unknown_gateway")]), ("gw-2", [])):
        import_id, _ = house.tried(
            "meters", [with_cell(row, 1, name)], ("South",), existing="update"
        )
        assert house.problems(import_id) == found


def test_a_card_goes_into_one_meter_whichever_of_its_names_a_row_says(house: Any) -> None:
    rows = [
        with_cell(with_cell(SEEN, 0, f"M-{n}"), 10, name) for n, name in ((1, "S-1"), (2, ICCID))
    ]
    import_id, _ = house.tried("meters", rows)
    assert house.problems(import_id) == [(3, "simCard", "twice_in_file")]
