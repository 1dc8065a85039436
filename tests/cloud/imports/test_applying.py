"""Good rows enter the registry as one job, with their history; late mistakes are told."""

import csv
import io
from typing import Any

from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Area, AssetChange, Customer, Meter, Sim
from hesper_cloud.imports.rejected import document
from hesper_cloud.long_jobs import asking


def by_name(rows: list[Any], name: str) -> dict[str, Any]:
    return {getattr(row, name): row for row in rows}


def test_customers_enter_with_their_meter_and_history(house: Any) -> None:
    row = ["Müller & Söhne", "A-9", '"Mill 3\nNorth"', "+43 1 234567", "m@example.org", "South"]
    row += ["SEEN1", "business", "T1", "29.3.2026"]
    import_id, _ = house.tried("customers", [row])
    job = house.apply(import_id)
    assert (job.state, job.result, job.done) == ("done", {"entered": 1, "rejected": 0}, 1)
    found = by_name(house.all(Customer), "account_number")["A-9"]
    assert (found.name, found.address, found.area) == ("Müller & Söhne", "Mill 3, North", "South")
    assert (found.tariff, found.state) == ("T1", "active")
    assert found.connection_date.isoformat() == "2026-03-29"
    meter = by_name(house.all(Meter), "id")["SEEN1"]
    assert (meter.customer_id, meter.customer, meter.version) == (found.id, found.name, 2)
    assert (meter.area, meter.address) == ("North", "Mill 3, North")
    changes = [(each.kind, each.action, each.who, each.reason) for each in house.all(AssetChange)]
    assert changes == [
        ("customer", "create", "ann", "import of file.csv"),
        ("meter", "update", "ann", "import of file.csv"),
    ]


def test_meters_enter_with_customer_card_and_template(house: Any) -> None:
    new = ["M-1", "gw-1", "", "Hesper", "HSP", "1.0.7", "10.0.0.1", "4059.0", "", "A-1", "S-1"]
    stock = ["M-2", *[""] * 10]
    seen = ["SEEN1", "", "three phase", *[""] * 6, "A-1", ""]
    import_id, _ = house.tried("meters", [new, stock, seen])
    assert house.apply(import_id).result == {"entered": 3, "rejected": 0}
    meters, ada = by_name(house.all(Meter), "id"), by_name(house.all(Customer), "name")["Ada Byron"]
    first = meters["M-1"]
    assert (first.gateway_id, first.life, first.state) == ("gw-1", "installed", "discovered")
    assert (first.meter_type, first.template, first.port) == ("single phase", "hsp", 4059)
    assert (first.customer_id, first.customer, first.area) == (ada.id, "Ada Byron", "North")
    card = by_name(house.all(Sim), "number")["S-1"]
    assert (first.sim_id, card.meter, card.version) == (card.id, "M-1", 2)
    assert (meters["M-2"].life, meters["M-2"].gateway_id) == ("stock", None)
    completed = meters["SEEN1"]
    assert (completed.gateway_id, completed.firmware) == ("gw-1", "9.9")
    assert (completed.meter_type, completed.customer_id) == ("three phase", ada.id)
    kinds = sorted((each.kind, each.action) for each in house.all(AssetChange))
    assert kinds == [
        ("meter", "create"),
        ("meter", "create"),
        ("meter", "update"),
        ("sim", "update"),
    ]


def test_cards_enter(house: Any) -> None:
    row = ["S-9", "8943 0000 0000 0000 0099", "", "", "A1", "", "", "m2m.example"]
    import_id, _ = house.tried("simcards", [[*row, '"1,5 GB"', ""]])
    assert house.apply(import_id).state == "done"
    card = by_name(house.all(Sim), "number")["S-9"]
    assert (card.iccid, card.state, card.data_limit_mb) == ("89430000000000000099", "stock", 1500)


def test_what_changed_since_the_dry_run_is_refused_with_its_reason(house: Any) -> None:
    rows = [["Ada", "A-8", *[""] * 3, area, *[""] * 4] for area in ("North", "South")]
    rows[1][1] = "=A-9"
    rows.append(["Bob", "A-10", "", "", "no mail", "", "", "", "", ""])
    import_id, _ = house.tried("customers", rows)
    with writing(house.registry) as session:
        session.delete(session.get_one(Area, "South"))
    assert house.apply(import_id).result == {"entered": 1, "rejected": 1}
    assert house.problems(import_id) == [(3, "area", "unknown_area"), (4, "email", "not_an_email")]
    text = b"".join(document(house.registry, house.state, house.file(import_id)))
    found = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
    assert [row[1] for row in found] == ["accountNumber", "'=A-9", "A-10"]
    assert [row[-1] for row in found] == [
        "reason",
        "area: create the area first, or correct its name",
        "email: one address, such as name@example.org",
    ]
    with writing(house.registry) as session:
        session.add(Area(name="South"))
    again, trial = house.tried("customers", text)
    assert (trial.row_count, trial.good_count) == (2, 1)
    house.apply(again)
    assert "=A-9" in by_name(house.all(Customer), "account_number")


def test_the_same_file_again_finds_every_row_known(house: Any) -> None:
    rows = [[f"M-{number}", *[""] * 10] for number in range(5)]
    first, _ = house.tried("meters", rows)
    second, _ = house.tried("meters", rows)
    house.apply(first, portion=2)
    assert house.apply(second, portion=2).result == {"entered": 0, "rejected": 5}
    assert {code for _, _, code in house.problems(second)} == {"known_already"}


def test_a_file_that_is_gone_fails_its_job_and_says_so(house: Any) -> None:
    import_id, _ = house.tried("meters", [["M-1", *[""] * 10]])
    for path in (house.state / "imports" / import_id).iterdir():
        path.unlink()
    job = house.apply(import_id)
    assert (job.state, job.problem) == ("failed", "the file is not there any more; bring it again")


def test_a_job_that_was_cancelled_goes_on_where_it_stopped(house: Any) -> None:
    import_id, _ = house.tried("meters", [[f"M-{number}", *[""] * 10] for number in range(10)])
    number, runner = house.begin(import_id), house.runner(portion=3)
    assert runner.turn()
    with writing(house.registry) as session:
        assert asking.cancel(session, number, "ann", house.now)
    assert not runner.turn()
    assert (house.job(number).state, house.job(number).done) == ("cancelled", 3)
    with writing(house.registry) as session:
        assert asking.resume(session, number)
    while runner.turn():
        pass
    assert house.job(number).result == {"entered": 10, "rejected": 0}
