"""Imports that change what is there: shown by the dry run, done as shown, and no more than that."""

from datetime import date
from typing import Any

import pytest
from hesper_cloud.assets.history import By
from hesper_cloud.assets.keeping import change
from hesper_cloud.assets.kinds import CUSTOMER
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import AssetChange, Customer, Meter, Sim
from hesper_cloud.imports.rejected import changed
from sqlalchemy import select

CARD, RETIRED = "89430000000000000010", "89430000000000000020"


def shown(house: Any, import_id: str) -> dict[str, dict[str, tuple[Any, Any]]]:
    """By asset: what the dry run says would change."""
    return {
        row["asset"]: {each["field"]: (each["before"], each["after"]) for each in row["changes"]}
        for row in changed(house.state, house.file(import_id))
    }


def history(house: Any) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    return [(each.kind, each.action, each.before, each.after) for each in house.all(AssetChange)]


def one(house: Any, model: Any, **named: Any) -> Any:
    ((name, value),) = named.items()
    return next(row for row in house.all(model) if getattr(row, name) == value)


def cells(count: int, *told: str, **at: str) -> list[str]:
    row = [*told, *[""] * (count - len(told))]
    for place, text in at.items():
        row[int(place.removeprefix("c"))] = text
    return row


def test_a_customer_is_changed_where_the_row_says_otherwise(house: Any) -> None:
    rows = [
        cells(10, "Ada Lovelace", "A-1", c3="+43 1 9", c6="SEEN1", c8="T1", c9="29.3.2026"),
        cells(10, "Bob", "A-2"),
    ]
    import_id, trial = house.tried("customers", rows, existing="update")
    assert (trial.good_count, trial.change_count, trial.same_count) == (2, 1, 0)
    ada = one(house, Customer, account_number="A-1")
    assert shown(house, import_id) == {
        str(ada.id): {
            "name": ("Ada Byron", "Ada Lovelace"), "phone": (None, "+43 1 9"),
            "tariff": (None, "T1"), "connection_date": (None, "2026-03-29"),
            "meter": (None, "SEEN1"),
        }
    }  # fmt: skip
    assert history(house) == []
    job = house.apply(import_id)
    assert job.result == {"entered": 1, "changed": 1, "same": 0, "rejected": 0}
    after = one(house, Customer, account_number="A-1")
    assert (after.name, after.area, after.version) == ("Ada Lovelace", "North", ada.version + 1)
    assert (after.connection_date, after.updated_at) == (date(2026, 3, 29), house.now)
    meter = one(house, Meter, id="SEEN1")
    assert (meter.customer_id, meter.customer) == (ada.id, "Ada Lovelace")
    kinds = [(kind, action) for kind, action, _, _ in history(house)]
    assert kinds == [("customer", "create"), ("customer", "update"), ("meter", "update")]
    _, _, before, told = history(house)[1]
    assert (before, told["name"]) == ({"name": "Ada Byron"}, "Ada Lovelace")
    again, trial = house.tried("customers", rows, existing="update")
    assert (trial.change_count, trial.same_count, shown(house, again)) == (0, 2, {})
    assert house.apply(again).result == {"entered": 0, "changed": 0, "same": 2, "rejected": 0}
    assert len(history(house)) == 3


def test_a_meter_shows_the_new_name_of_its_customer(house: Any) -> None:
    first, _ = house.tried("meters", [cells(11, "M-1", c9="A-1")])
    house.apply(first)
    again, _ = house.tried("customers", [cells(10, "Ada Lovelace", "A-1")], existing="update")
    house.apply(again)
    assert one(house, Meter, id="M-1").customer == "Ada Lovelace"
    assert history(house)[-1] == (
        "meter", "update", {"customer": "Ada Byron"}, {"customer": "Ada Lovelace"}
    )  # fmt: skip


def test_a_meter_in_stock_is_completed_and_installed(house: Any) -> None:
    first, _ = house.tried("meters", [cells(11, "M-1", c3="Other", c4="X")])
    house.apply(first)
    row = cells(11, "M-1", "gw-1", c3="Hesper", c4="HSP", c6="10.0.0.9", c9="A-1", c10="S-1")
    again, trial = house.tried("meters", [row], existing="update")
    assert (trial.change_count, house.problems(again)) == (1, [])
    told = shown(house, again)["M-1"]
    assert (told["life"], told["brand"]) == (("stock", "installed"), ("Other", "Hesper"))
    assert (told["template"], told["customer"]) == ((None, "hsp"), (None, "Ada Byron"))
    assert house.apply(again).result["changed"] == 1
    meter, card = one(house, Meter, id="M-1"), one(house, Sim, iccid=CARD)
    assert (meter.gateway_id, meter.life, meter.template) == ("gw-1", "installed", "hsp")
    assert (meter.meter_type, meter.area, meter.version) == ("single phase", "North", 2)
    assert (meter.sim_id, card.meter) == (card.id, "M-1")
    assert sorted((kind, action) for kind, action, _, _ in history(house)) == [
        ("meter", "create"), ("meter", "install"), ("sim", "update")
    ]  # fmt: skip
    same, trial = house.tried("meters", [row], existing="update")
    assert (trial.same_count, house.problems(same)) == (1, [])


@pytest.mark.parametrize(
    ("kind", "row", "problem"),
    [
        ("meters", cells(11, "KNOWN1", "gw-1"), ("concentratorId", "gateway_fixed")),
        ("meters", cells(11, "SERVED", c9="A-2"), ("customer", "meter_taken")),
        ("meters", cells(11, "SERVED", c10="S-3"), ("simCard", "meter_has_sim")),
        ("meters", cells(11, "KNOWN1", c10="S-1"), ("simCard", "sim_taken")),
        ("customers", cells(10, "Bob", "A-2", c6="SERVED"), ("meterAssigned", "meter_taken")),
        ("customers", cells(10, "Gone", "A-3"), ("accountNumber", "deleted")),
        ("simcards", cells(10, "", RETIRED, c5="active"), ("status", "no_such_step")),
        ("simcards", cells(10, "", CARD, c5="retired"), ("status", "sim_in_use")),
        ("simcards", cells(10, "S-3", CARD), ("simNumber", "number_taken")),
        ("simuse", ["89430000000000009999", "5"], ("iccid", "unknown_sim")),
        ("simuse", [CARD, ""], ("dataUsed", "missing")),
    ],
)
def test_what_a_file_may_not_change_is_told(
    house: Any, kind: Any, row: list[str], problem: tuple[str, str]
) -> None:
    with writing(house.registry) as session:
        kept = {"created_at": house.now, "updated_at": house.now}
        bob = Customer(account_number="A-2", name="Bob", **kept)
        gone = Customer(account_number="A-3", name="Gone", deleted_at=house.now, **kept)
        card = session.scalars(select(Sim).where(Sim.iccid == CARD)).one()
        ada = session.scalars(select(Customer)).first()
        assert ada is not None
        session.add_all([bob, gone, Sim(iccid="89430000000000000030", number="S-3", **kept)])
        session.add(
            Meter(id="SERVED", first_seen_at=house.now, version=2, state="commissioned",
                  life="commissioned", customer_id=ada.id, sim_id=card.id)
        )  # fmt: skip
        card.meter, card.state = "SERVED", "active"
        session.get_one(Meter, "KNOWN1").life = "commissioned"
    import_id, trial = house.tried(kind, [row], existing="update")
    assert (trial.good_count, house.problems(import_id)) == (0, [(2, *problem)])
    advice = next(iter(house.rejected_rows(import_id)))["problems"][0]["advice"]
    assert advice
    assert history(house) == []


def test_what_was_changed_since_the_dry_run_is_left_alone(house: Any) -> None:
    rows = [cells(10, "Ada", "A-1"), cells(10, "Bob", "A-2"), cells(10, "Cleo", "A-3")]
    import_id, _ = house.tried("customers", rows, existing="update")
    with writing(house.registry) as session:
        ada = session.scalars(select(Customer)).one()
        change(session, CUSTOMER, ada, {"phone": "+43 1 1"}, By("ben", house.now))
        kept = {"created_at": house.now, "updated_at": house.now}
        session.add(Customer(account_number="A-2", name="Another", **kept))
    job = house.apply(import_id)
    assert job.result == {"entered": 1, "changed": 0, "same": 0, "rejected": 2}
    assert house.problems(import_id) == [
        (2, "accountNumber", "changed_meanwhile"), (3, "accountNumber", "changed_meanwhile")
    ]  # fmt: skip
    assert one(house, Customer, account_number="A-1").name == "Ada Byron"
    assert one(house, Customer, account_number="A-2").name == "Another"


def test_who_is_for_one_area_changes_nothing_of_another(house: Any) -> None:
    rows = [cells(10, "Ada Lovelace", "A-1")]
    import_id, _ = house.tried("customers", rows, ("South",), existing="update")
    assert house.problems(import_id) == [(2, "accountNumber", "area_not_yours")]
    own, trial = house.tried("customers", rows, ("North",), existing="update")
    assert (trial.change_count, house.problems(own)) == (1, [])
    away = [cells(10, "Ada Lovelace", "A-1", c5="South")]
    moved, _ = house.tried("customers", away, ("North",), existing="update")
    assert house.problems(moved) == [(2, "area", "area_not_yours")]
    with writing(house.registry) as session:
        card = session.scalars(select(Sim).where(Sim.iccid == CARD)).one()
        card.meter = "SEEN1"  # in North
    use, _ = house.tried("simuse", [[CARD, "5"]], ("South",))
    assert house.problems(use) == [(2, "iccid", "area_not_yours")]


def test_no_card_tells_of_a_meter_elsewhere(house: Any) -> None:
    with writing(house.registry) as session:
        session.scalars(select(Sim).where(Sim.iccid == CARD)).one().meter = "SEEN1"  # in North
    row = cells(11, "M-1", c8="South", c10="S-1")
    for areas, told in ((("South",), False), (("North", "South"), True)):
        import_id, _ = house.tried("meters", [row], areas)
        assert ("simCard", "sim_taken") in [each[1:] for each in house.problems(import_id)]
        assert any("SEEN1" in str(each) for each in house.rejected_rows(import_id)) is told


def test_a_file_that_changes_goes_on_after_a_kill_and_changes_nothing_twice(house: Any) -> None:
    first, _ = house.tried("meters", [cells(11, f"M-{number}") for number in range(5)])
    house.apply(first)
    rows = [cells(11, f"M-{number}", c3="Hesper") for number in range(5)]
    import_id, _ = house.tried("meters", rows, existing="update")
    number = house.begin(import_id)
    assert house.runner(portion=2).turn()  # and this runner is never heard of again
    runner = house.runner(portion=2)
    while runner.turn():
        pass
    assert house.job(number).result == {"entered": 0, "changed": 5, "same": 0, "rejected": 0}
    assert {row.version for row in house.all(Meter) if row.id.startswith("M-")} == {2}
    assert len([each for each in history(house) if each[1] == "update"]) == 5


def test_the_use_of_sim_cards_comes_by_file(house: Any) -> None:
    with writing(house.registry) as session:
        session.scalars(select(Sim).where(Sim.iccid == CARD)).one().data_limit_mb = 500
    import_id, trial = house.tried("simuse", [[CARD, '"0,45 GB"']])
    assert (trial.change_count, house.problems(import_id)) == (1, [])
    assert house.apply(import_id).result["changed"] == 1
    card = one(house, Sim, iccid=CARD)
    assert (card.data_used_mb, card.version) == (450, 2)
    assert history(house) == [("sim", "update", {}, {"data_used_mb": 450})]
