"""View models: records in, words and numbers out."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from console_double.fleet import Fleet
from hesper_cloud.authority.kinds import Kind
from hesper_contracts.quality import Quality
from hesper_ui.services import (
    AttentionRow,
    CommandRow,
    DayQuality,
    FleetLoad,
    GapRow,
    Invalid,
    Overview,
    Series,
)
from hesper_ui.views import (
    attention_words,
    charts,
    doubts,
    finding,
    findings,
    gateway_words,
    lists,
    load_profile,
    looks,
    meter_list,
    quality,
    registers,
    relay,
    rule_form,
    tiles,
    wording,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FIGURES = Overview(
    at=NOW,
    meters_total=60,
    meters_online=52,
    reads_complete_pct=99.31,
    reads_target_pct=99.5,
    gaps_open=8,
    alerts_open=5,
    critical_alerts=2,
    oldest_critical_at=NOW - timedelta(minutes=14),
    readings_per_s=31.4,
    fleet_load_w=60_470_000,
    fleet_load_yesterday_w=None,
    commands_in_flight=3,
    commands_awaiting_approval=0,
    gateways_total=3,
    gateways_online=2,
    dead_letters=0,
    kill_switch=False,
)


@pytest.mark.parametrize(
    ("value", "scaler", "written"),
    [
        (8412331, 0, "8,412,331"),
        (2301, -1, "230.1"),
        (5, -3, "0.005"),
        (-1234567, -2, "−12,345.67"),
        (12, 3, "12,000"),
        (0, -2, "0.00"),
        (9_007_199_254_740_993, -2, "90,071,992,547,409.93"),
        (None, -2, "–"),
    ],
)
def test_scaled_integers_are_written_digit_by_digit(value, scaler, written):
    assert wording.scaled(value, scaler) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-3, "0 s"), (12, "12 s"), (61, "1 min"), (7300, "2 h"), (172_800, "2 days")],
)
def test_ages_have_one_unit(seconds, written):
    assert wording.age_text(seconds) == written


@pytest.mark.parametrize(
    ("watt", "written"),
    [
        (None, ("–", "kW")),
        (420, ("420", "W")),
        (4200, ("4.20", "kW")),
        (60_470_000, ("60.5", "MW")),
        (-1500, ("−1.50", "kW")),
    ],
)
def test_power_finds_its_unit(watt, written):
    assert wording.power(watt) == written


def test_who_is_online_is_not_known_while_the_broker_is_lost():
    online, _, _, stored, *_ = tiles.tiles(replace(FIGURES, broker_lost_since=NOW), NOW)
    for tile in (online, stored):
        assert tile.note == "who is online is not known now"
        assert not tile.live_note, "a frame would count them as online again"


def test_the_load_says_how_old_its_newest_value_is():
    load = tiles.tiles(replace(FIGURES, fleet_load_at=NOW), NOW)[4]
    assert (load.dated, load.at) == ("fleet_load_at", NOW)


def test_only_what_is_whole_is_called_100_percent():
    assert wording.percent(99.96) == "99.9"
    assert wording.percent(100.0) == "100"
    assert wording.percent(None) == "–"


def test_what_a_service_says_becomes_a_sentence():
    assert wording.sentence("name or password is wrong") == "Name or password is wrong."


def test_tiles_lead_to_their_lists_and_colour_only_what_is_abnormal():
    online, complete, alerts, stored, load, commands = tiles.tiles(FIGURES, NOW)
    assert online.target == "/meters?view=silent"
    assert (complete.tone, complete.value) == ("warning", "99.3")
    assert (alerts.tone, alerts.note) == ("critical", "oldest 14 min · 5 open")
    assert (stored.tone, load.tone, commands.tone) == ("normal", "normal", "normal")
    assert (load.value, load.unit) == ("60.5", "MW")


def test_who_sees_some_areas_is_told_what_is_counted_over_all():
    stored, load = tiles.tiles(replace(FIGURES, fleet_load_w=None), NOW, whole=False)[3:5]
    assert stored.note.startswith("in all areas · ")
    assert stored.live_note.startswith("in all areas · ")
    assert (load.value, load.note) == ("–", "counted over all areas alone")


def test_missing_figures_never_wear_an_alarm():
    empty = replace(FIGURES, reads_complete_pct=None, fleet_load_w=None, critical_alerts=0)
    for tile in tiles.tiles(empty, NOW):
        assert tile.tone == "normal"


def _gap(first: int, last: int, count: int, state: str = "open") -> GapRow:
    at = datetime.fromtimestamp
    return GapRow(
        id=1,
        meter="m",
        profile="1.0.99.1.0.255",
        from_at=at(first, UTC),
        to_at=at(last, UTC),
        expected_count=count,
        cause="silent meter",
        state=state,
        noticed_at=NOW,
        closed_at=None,
    )


def test_a_load_profile_never_draws_across_what_is_missing():
    series = Series(
        "1.0.1.8.0.255",
        [0, 900, 1800, 4500, 5400],
        [1000, 1100, 1350, 2000, 2090],
        [0] * 5,
        0,
        30,
        "Wh",
    )
    profile = load_profile.build(series, [_gap(2700, 3600, 2)], (0, 5400), 900, 900)
    assert profile.points == [(900, 0.4), (1800, 1.0), (4500, None), (5400, 0.36)]
    assert [(band.start, band.end) for band in profile.bands] == [(1800, 3600)]
    assert profile.missing == 2


def test_a_curve_steps_from_each_interval_s_begin_to_its_end_and_a_gap_stays_one():
    noon, hour = 43_200, 3600
    times = [noon, noon + hour, noon + 2 * hour, noon + 5 * hour, noon + 6 * hour]
    series = Series("1.0.1.8.0.255", times, [0, 1000, 3000, 9000, 9500], [0] * 5, 0, 30, "Wh")
    profile = load_profile.build(series, [], (0, times[-1]), hour, hour)
    (curve,) = charts.load_profile(profile, "said")["series"]
    assert curve["step"] == "start"
    assert curve["data"] == [
        [at * 1000, kw]
        for at, kw in (
            (times[0], 1.0), (times[1], 1.0), (times[2], 2.0), (times[3], None),
            (times[3], 0.5), (times[4], 0.5),
        )
    ]  # fmt: skip
    nothing = Series("1.0.1.8.0.255", [], [], [], 0, 30, "Wh")
    assert load_profile.build(nothing, [], (0, 5400), 900, 900).corners == []


def test_a_day_is_counted_between_its_own_midnights_and_only_where_they_are_stored():
    berlin = ZoneInfo("Europe/Berlin")
    spring = load_profile.window_of(date(2026, 3, 29), berlin)
    assert spring[1] - spring[0] == 23 * 3600
    assert datetime.fromtimestamp(spring[0], UTC) == datetime(2026, 3, 28, 23, tzinfo=UTC)

    def used(times: list[int], values: list[int | None]) -> load_profile.Used | None:
        series = Series("1.0.1.8.0.255", times, values, [0] * len(times), -1, 30, "Wh")
        return load_profile.used(series, (900, 3600))

    whole = used([0, 900, 1800, 2700, 3600, 4500], [1, 1000, 1100, None, 13_500, 99_999])
    assert whole == load_profile.Used(12_500, -1, 900, 3600)
    assert used([0, 1800, 2700], [1, 1100, 1350]) == load_profile.Used(250, -1, 1800, 2700)
    assert used([0, 1800], [1, 1100]) is None
    assert used([900, 1800, 3600], [1000, 5, 2000]) is None, "another meter's register"


def test_a_day_in_an_address_is_a_day_or_refused():
    assert load_profile.day_of("") is None
    assert load_profile.day_of("2026-11-17") == date(2026, 11, 17)
    for text in ("yesterday", "2026-02-30", "1' OR 1=1", "0001-01-01", "9999-12-31"):
        with pytest.raises(Invalid):
            load_profile.day_of(text)


def test_a_list_of_silent_meters_says_of_each_why():
    fleet = Fleet()
    silent = [row for row in fleet.meters.values() if not row.online]
    offline = {row.id for row in fleet.gateways.values() if row.state == "offline"}
    told = {meter_list.why_silent(row, offline) for row in silent if row.gateway in offline}
    assert told == {"gateway is offline"}
    alone = next(row for row in silent if row.gateway not in offline)
    assert meter_list.row(alone, offline, is_anybody_heard=True)["why"] == "does not answer"
    assert (
        meter_list.why_silent(replace(alone, last_contact_at=None), offline) == "never heard from"
    )
    assert meter_list.row(alone, is_anybody_heard=True)["why"] == ""


def test_a_register_that_ran_backwards_is_not_drawn_as_power():
    series = Series("1.0.1.8.0.255", [0, 900, 1800], [10, 5, 9], [0] * 3, 0, 30, "Wh")
    assert load_profile.build(series, [], (0, 1800), 900, 900).points == [
        (900, None),
        (1800, 0.016),
    ]


def test_closed_gaps_and_gaps_elsewhere_are_no_bands():
    series = Series("1.0.1.8.0.255", [], [], [], 0, 30, "Wh")
    gaps = [_gap(900, 1800, 2, "closed"), _gap(90_000, 91_800, 3)]
    assert load_profile.build(series, gaps, (0, 5400), 900, 900).bands == []


def test_charts_take_their_colours_from_the_theme():
    load = FleetLoad([0, 900], [1000, None], [900, 950])
    options = charts.fleet_load(load, "said")
    yesterday, today = options["series"]
    assert yesterday["lineStyle"]["type"] == "dashed"
    assert today["lineStyle"]["color"] == "var(--accent)"
    assert today["data"] == [[0, 1.0], [900_000, None]]


def test_grid_questions_are_bounded_and_refused_when_senseless():
    asked = meter_list.query({"view": "silent", "limit": "100000", "offset": "-5", "sort": "DROP"})
    assert (asked.state, asked.limit, asked.offset, asked.sort) == ("silent", 200, 0, "id")
    with pytest.raises(Invalid):
        meter_list.query({"view": "nonsense"})
    with pytest.raises(Invalid):
        meter_list.query({"offset": "many"})


def test_a_relay_confirmed_too_long_ago_is_said_to_be_stale():
    row = next(iter(Fleet().meters.values()))
    now = datetime.now(UTC)
    fresh = replace(row, relay_output=True, relay_confirmed_at=now)
    old = replace(fresh, relay_confirmed_at=now - timedelta(hours=25))
    assert looks.relay_state(fresh).word == "connected"
    assert looks.relay_state(old) == looks.Look("unknown", "connected, stale")
    assert looks.relay_state(replace(fresh, relay_output=None)).word == "unknown"


def test_every_command_state_has_a_look_and_unknown_is_never_assumed():
    assert looks.command_state("unknown").word == "unknown: no answer, do not assume"
    assert looks.command_state("confirmed").word == "confirmed by read-back"
    assert looks.command_state("something new").mark == "unknown"


def test_what_only_asks_is_answered_and_not_confirmed_by_a_read_back():
    for kind in ("ping", "read.registers", "read.conversation"):
        assert looks.command_state("confirmed", kind).word == "answered by the meter"
    for kind in ("relay.disconnect", "relay.read", "clock.sync"):
        assert looks.command_state("confirmed", kind).word == "confirmed by read-back"
    assert looks.command_state("failed", "ping").word == "failed"
    assert looks.steps_reached("expired") is None


def test_the_last_four_digits_must_match():
    assert relay.tail_matches("HES12642984", "2984")
    assert not relay.tail_matches("HES12642984", "984")
    assert not relay.tail_matches("HES12642984", "2985")


def test_a_relay_of_unknown_state_may_be_moved_either_way():
    fleet = Fleet()
    offered = {relay.offered(fleet.detail(meter))[0] for meter in fleet.meters}
    assert offered == {"disconnect", "reconnect"}
    unknown = next(m.id for m in fleet.meters.values() if m.relay_output is None)
    assert relay.offered(fleet.detail(unknown)) == ["reconnect", "disconnect"]


def test_a_meter_that_waits_for_its_button_may_be_disconnected_too():
    fleet = Fleet()
    open_one = next(m.id for m in fleet.meters.values() if m.relay_output is False)
    disconnected = replace(fleet.detail(open_one), relay_control=0)
    assert relay.offered(disconnected) == ["reconnect"]
    waiting = replace(disconnected, relay_control=2)
    assert relay.offered(waiting) == ["reconnect", "disconnect"]


def test_doubts_and_causes_have_words():
    assert doubts.quality(0) == ""
    flags = Quality.CLOCK_INVALID | Quality.ESTIMATED
    assert doubts.quality(flags) == "meter clock invalid, estimated"
    assert doubts.quality(0x4000) == "doubtful"
    assert doubts.cause("silent meter") == "the meter did not answer"


def test_a_day_of_which_nothing_was_due_has_no_score():
    def row(score: int, expected: int) -> DayQuality:
        return DayQuality("M1", NOW.date(), score, expected, 0, 0, 0, 0)

    assert quality.score(row(0, 0)) == ("unknown", "–")
    assert quality.score(row(0, 96)) == ("critical", "0")
    assert quality.score(row(90, 96)) == ("warning", "90")
    assert quality.score(row(100, 96)) == ("normal", "100")


@pytest.mark.parametrize(
    "text", ["1234567", " 1 234 567 ", "1.234.567", "1,234,567", "1'234'567", "12,34,567"]
)
def test_a_register_is_a_whole_number_with_or_without_groups_of_thousands(text):
    assert quality.whole(text) == 1_234_567


@pytest.mark.parametrize(
    "text", ["12.5", "12,5", "1234.567", "0.700", "1.234,5", "1,23", "-5", "1e3", "٣", ""]
)
def test_what_may_be_a_fraction_is_no_register(text):
    with pytest.raises(Invalid, match="whole number of watt-hours"):
        quality.whole(text)


def test_meters_that_were_never_heard_from_are_said_and_listed():
    row = AttentionRow("never-heard", "info", 2, NOW, "", ("M1", "M2"))
    assert attention_words.title(row) == "2 meters were never heard from"
    assert attention_words.target(row) == "/meters?view=silent"


def test_the_palette_finds_views_of_the_list_of_meters_by_their_words():
    assert [row["address"] for row in finding.lists("sil")] == [
        "/meters?view=silent",
        "/meters?view=silent-day",
    ]
    assert [row["title"] for row in finding.lists("Firm")] == ["Meters: Old firmware"]
    assert finding.lists("HES12643021") == []


def test_attention_names_its_subjects():
    row = AttentionRow("silent-meter", "warning", 5, NOW, "silent-meter: 5", ("a", "b", "c", "d"))
    assert attention_words.title(row) == "Meter silent: 5 cases"
    assert attention_words.subjects(row) == "a, b, c and 2 more"
    assert attention_words.target(row) == "/alerts?severity=warning"


def test_gateways_say_what_is_unusual():
    online = Fleet().gateways["gw-tcp"]
    assert gateway_words.outbox(replace(online, outbox_percent=85)).mark == "warning"
    assert gateway_words.clock(replace(online, clock_offset_ms=-7000)).word == "−7000 ms"
    assert gateway_words.meters(replace(online, meters_total=None)) == "44 registered"
    rows = [online, replace(online, state="unknown"), replace(online, state="offline")]
    assert gateway_words.reached(rows) == "3 gateways, 1 offline, 1 not heard yet"
    assert gateway_words.reached([online, online]) == "all heard"


def test_a_gateway_that_says_nothing_is_not_called_online():
    """While the head end has lost its broker, none is called offline, and none is heard."""
    row = replace(Fleet().gateways["gw-tcp"], last_seen_at=NOW)
    soon, late = NOW + timedelta(minutes=2), NOW + timedelta(minutes=2, seconds=1)
    assert looks.gateway_state(row, soon) == looks.Look("normal", "online")
    assert looks.gateway_state(row, late) == looks.Look("unknown", "online, stale")
    assert gateway_words.reached([row], soon) == "all heard"
    assert gateway_words.reached([row], late) == "1 gateway, 1 not heard lately"


def test_the_dialog_asks_for_a_second_person_only_where_the_policy_does():
    detail = Fleet().detail(next(iter(Fleet().meters)))
    alone = replace(detail, second_person=("relay.disconnect",))
    assert relay.needs_second_person(alone, "disconnect")
    assert not relay.needs_second_person(alone, "reconnect")
    said = relay.words("reconnect", "HES1", second_person=False)
    assert "approv" not in f"{said.consequence} {said.sent}"
    assert said.note == relay.ALONE_NOTE


def test_registers_stand_in_the_order_people_read_them():
    detail = next(iter(Fleet().meters))
    shuffled = sorted(Fleet().latest(detail), key=lambda row: row.logical_name)
    names = [row.logical_name for row in registers.ordered(shuffled)]
    assert names[0] == "1.0.1.8.0.255"
    assert names.index("1.0.32.7.0.255") < names.index("1.0.31.7.0.255")
    assert registers.RELAY not in names


def test_a_confirmed_command_says_what_the_meter_showed():
    command = CommandRow(
        id="c",
        kind="relay.disconnect",
        meter="HES1",
        gateway="gw",
        state="confirmed",
        requester="ann",
        approver="ben",
        reason="moved out",
        created_at=NOW,
        queued_at=NOW,
        sent_at=NOW,
        not_after=NOW,
        updated_at=NOW + timedelta(seconds=1.4),
        detail="read back",
        relay_before=True,
        relay_after=False,
    )
    assert looks.evidence(command) == "relay read disconnected, 1.4 s after approval"
    failed = replace(command, state="failed", detail="the meter refused")
    assert looks.evidence(failed) == "the meter refused"


def test_what_a_command_has_found_is_said_in_words():
    clock = {"meter_time": "2026-06-01T12:00:00Z", "drift_ms": 4_200}
    registers = {f"1.0.{n}.8.0.255": {"value": n, "scaler": -1, "unit": 30} for n in range(1, 6)}
    found = {"registers": registers, "clock": clock, "missing": ["1.0.9.8.0.255"]}
    assert findings.found(found) == [
        "1.0.1.8.0.255 = 0.1",
        "1.0.2.8.0.255 = 0.2",
        "1.0.3.8.0.255 = 0.3",
        "2 more",
        "clock +4.2 s",
        "the meter has no 1.0.9.8.0.255",
    ]
    assert findings.found({"row_count": 1}) == ["1 row read"]
    assert findings.found(None) == []


def test_every_kind_of_command_has_words():
    assert set(looks.COMMAND_KINDS) == set(get_args(Kind))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], ""),
        (["north", "Mill, upper"], 'north, "Mill, upper"'),
        (['the "old" mill', "x"], '"the ""old"" mill", x'),
    ],
)
def test_a_form_gives_back_the_names_that_it_was_given(names, line):
    assert lists.joined(names) == line
    assert lists.parted(line) == names
    condition = {"kind": "event", "codes": ["a.b"]}
    shown = [
        rule_form.texts(fields, stored)
        for fields, stored in (
            (rule_form.FIELDS["event"], condition),
            (rule_form.SCOPE, {"areas": names}),
        )
    ]
    assert rule_form.document({}, "event", *shown)["scope"].get("areas", []) == names


def test_what_somebody_lists_carelessly_is_each_name_once():
    assert lists.parted(' a,, "b , c" ,a, 5" pipe,"open') == ["a", "b , c", '5" pipe', "open"]
