"""The lists on a meter's page: registers, events, gaps, and the particulars of the supply."""

from collections.abc import Sequence

from hesper_ui import states
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, mark, marked, moment, table
from hesper_ui.services import EventRow, GapRow, LatestValue, MeterDetail
from hesper_ui.views import doubts, event_words
from hesper_ui.views import registers as order
from hesper_ui.views.looks import severity
from hesper_ui.views.wording import MISSING, plural, scaled, shifted
from hesper_ui.words import say

COLUMNS = Columns(
    ("Quantity", "Value", "Unit", "OBIS code", "Captured"),
    numbers=frozenset({1}),
    wide_only=frozenset({3}),
    folding=False,
)


def registers(meter: str, rows: Sequence[LatestValue]) -> None:
    """Draws the newest value of each quantity; live frames keep them moving."""
    if not rows:
        states.empty("No register read yet", "The gateway reads them once a minute by itself.")
        return
    with box("div", data_values=meter):
        table("Registers", COLUMNS, [_register(row) for row in order.ordered(rows)])


def _register(row: LatestValue) -> list[Cell]:
    shift, symbol = shifted(row.value, row.scaler, row.symbol)

    def value() -> None:
        if row.value is None:
            Text(MISSING, classes="meta")
        else:
            text = scaled(row.value, row.scaler - shift)
            Text(text, data_latest=row.logical_name, data_live=True, data_shift=str(shift))

    def captured() -> None:
        element = ago(row.captured_at)
        element.props["data-captured"] = row.logical_name

    def quality() -> None:
        with box("span", "marked"):
            Text(order.name_of(row))
            if row.quality:
                Text(doubts.quality(row.quality), classes="tag")

    return [quality, value, symbol, lambda: Text(row.logical_name, classes="meta"), captured]


def events(rows: Sequence[EventRow], *, with_meter: bool = False) -> None:
    """Draws what a meter noticed; or what came through a gateway, with the meter's name."""
    if not rows:
        states.empty("No event yet", "The meter's event log is read every few minutes.")
        return
    with box("ul", "timeline dated"):
        for row in rows:
            with box("li"):
                with box("div", "when"):
                    moment(row.occurred_at, "date")
                mark(severity(row.severity).mark)
                with box("div", "what"):
                    title, besides = event_words.told(row)
                    Text(title)
                    with box("div", "meta told"):
                        Text(" · ".join(filter(None, (say(row.severity), besides))))
                        if with_meter and row.meter:
                            Text(" · ")
                            link(row.meter, f"/meters/{row.meter}")


def gaps(rows: Sequence[GapRow]) -> None:
    """Draws what is missing, why, and what was missing and has filled itself."""
    if not rows:
        states.empty("Nothing is missing", "Every due capture is stored.")
        return
    with box("ul", "row-list"):
        for row in sorted(rows, key=lambda gap: (gap.state != "open", -gap.from_at.timestamp())):
            with box("li"):
                mark("offline" if row.state == "open" else "done")
                with box("div"):
                    closed = "" if row.state == "open" else say(", filled since")
                    Text(plural(row.expected_count, "interval") + closed, "div")
                    Text(doubts.cause(row.cause), "div", "meta")
                with box("div", "meta"):
                    moment(row.from_at, "date")


def particulars(detail: MeterDetail) -> None:
    """Draws who is supplied, by what, and through which gateway."""
    row = detail.row
    with box("dl", "facts"):
        _fact(say("Customer"), row.customer)
        _fact(say("Address"), row.address)
        _fact(say("Area"), row.area)
        _fact(say("Life support"), say("flagged") if row.life_support else say("none recorded"))
        _fact(say("Model"), row.model)
        _fact(say("Firmware"), row.firmware)
        Text(say("Gateway"), "dt")
        with box("dd"):
            if row.gateway:
                link(row.gateway, f"/gateways/{row.gateway}")
                if detail.gateway_state == "offline":
                    Text(" ")
                    marked("offline", "offline")
            else:
                Text(MISSING)
        _fact(say("Logical device"), detail.logical_device_name)
        _fact(say("Template"), detail.template)
        period = detail.capture_period_s
        _fact(say("Capture period"), None if period is None else f"{period} s")
        Text(say("First seen"), "dt")
        with box("dd"):
            ago(detail.first_seen_at)


def _fact(name: str, text: str | None) -> None:
    Text(name, "dt")
    Text(text or MISSING, "dd")
