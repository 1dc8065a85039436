"""What a gateway or an element that is down explains gives way to its alert, and comes up again."""

from hesper_cloud.rules.alerts import Subject, Telling

DOWN = Subject("gateway-offline", gateway="gw-1")


def silent(meter: str, at) -> Telling:
    return Telling(Subject("silent-meter", meter=meter), "warning", "Silent.", at, symptom=True)


def test_one_gateway_down_is_one_alert_and_not_two_hundred(town):
    meters = town.homes(0, range(4))
    town.alerts.raise_all([silent(meter, town.now) for meter in meters])
    town.alerts.raise_(DOWN, "critical", "Gateway gw-1 is offline.")
    town.later(0)
    (parent,) = town.found()
    assert (parent.rule, parent.affected_count) == ("gateway-offline", 4000)
    assert len(town.found(hidden=True)) >= len(meters)
    town.alerts.raise_all([silent(meter, town.now) for meter in town.homes(1, range(4))])
    town.later(2)
    assert [each.id for each in town.found()] == [parent.id]


def test_children_live_on_below_their_parent_and_come_up_when_they_outlast_it(town):
    town.alerts.raise_all([silent(meter, town.now) for meter in ("M00000", "M00001")])
    town.alerts.raise_(DOWN, "critical", "Gateway gw-1 is offline.")
    town.later(0)
    assert [each.rule for each in town.found()] == ["gateway-offline"]
    town.alerts.clear(Subject("silent-meter", meter="M00000"))
    town.alerts.clear(DOWN)
    town.later(0)
    assert town.found() == []  # they have their time to be heard
    town.later(town.settings.surface_after_s)
    (left,) = town.found()
    assert (left.meter, left.parent_id, left.group_key) == ("M00001", None, "rule/silent-meter")


def test_what_is_no_symptom_is_never_hidden(town):
    tamper = Subject("tamper.cover", meter="M00000")
    town.alerts.raise_(tamper, "critical", "Cover opened.")
    town.alerts.raise_(DOWN, "critical", "Gateway gw-1 is offline.")
    town.later(0)
    assert [each.rule for each in town.found()] == ["tamper.cover", "gateway-offline"]


def test_an_alert_of_an_element_hides_the_symptoms_below_it(town):
    outage = Subject("outage", element="F0")
    town.alerts.raise_(outage, "critical", "Feeder North has no supply.")
    town.alerts.raise_all([silent(meter, town.now) for meter in ("M00000", "M10000")])
    town.later(0)
    assert [(each.rule, each.meter) for each in town.found()] == [
        ("outage", None),
        ("silent-meter", "M10000"),
    ]
    assert [each.meter for each in town.found(hidden=True)] == ["M00000"]


def test_what_a_clock_ahead_hid_comes_up_when_the_clock_is_right(town):
    year_s = 365 * 86_400
    town.later(year_s)
    town.alerts.raise_all([silent("M00000", town.now)])
    town.alerts.raise_(DOWN, "critical", "Gateway gw-1 is offline.")
    town.later(0)
    town.alerts.clear(DOWN)
    town.later(-1)
    assert town.found() == []  # another thread's clear, a moment after this turn began
    town.later(1 - year_s)
    assert [each.meter for each in town.found()] == ["M00000"]
