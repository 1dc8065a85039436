"""Every log of a meter on schedule: each from its own mark, an event in two logs told once."""

from typing import Any

from hesper_dlms import obis
from hesper_gateway.visit import Visitor, Work
from hesper_sim.event_codes import EventCode

FRAUD_LOG = obis.parse("0.0.99.98.1.255")
QUALITY_LOG = obis.parse("0.0.99.98.4.255")


def visitor_of(works: Any, line: Any, **changes: Any) -> Visitor:
    session = works.session(line, **changes)
    outbox = works.outbox
    return Visitor(session, works.gathering, outbox, outbox.progress, works.now)


def of_log(works: Any) -> list[tuple[Any, Any, int]]:
    return [
        (
            event.attributes["log"],
            event.attributes["meter_code"],
            int(event.occurred_at.timestamp()),
        )
        for event in works.events()
        if "log" in event.attributes
    ]


async def test_logs_are_told_with_their_names_and_kept_apart(works: Any) -> None:
    begun = works.START + 60
    works.time_s += 10
    works.district.log_event([works.meter], EventCode.METER_COVER_OPENED, begun + 1)
    works.district.log_event([works.meter], EventCode.KEYS_CHANGED, begun + 2)
    async with works.working(), works.line() as line:
        visitor = visitor_of(works, line)
        visited = await visitor.visit({Work.EVENTS})
        assert visited.failure is None
        assert {("fraud", 44, begun + 1), ("standard", 48, begun + 2)} <= set(of_log(works))
        assert works.mark(obis.EVENT_LOG) == begun + 2
        assert works.mark(FRAUD_LOG) == begun + 1
        works.time_s += 3600
        works.district.log_event([works.meter], EventCode.VOLTAGE_SAG_L1, int(works.time_s) - 1)
        await visitor.visit({Work.EVENTS})
    assert works.mark(FRAUD_LOG) == begun + 1
    assert works.mark(QUALITY_LOG) == works.mark(obis.EVENT_LOG) == works.time_s - 1
    ids = [event.id for event in works.events() if "log" in event.attributes]
    assert len(ids) == len(set(ids))


async def test_a_log_that_is_not_there_does_not_hold_up_the_others(works: Any) -> None:
    works.district.log_event([works.meter], EventCode.METER_COVER_OPENED, works.START + 61)
    works.time_s += 10
    objects = {"disconnector_log": obis.parse("0.0.99.98.77.255")}
    async with works.working(), works.line() as line:
        visitor = visitor_of(works, line, objects=objects)
        visited = await visitor.visit({Work.EVENTS})
    assert Work.EVENTS in visited.done
    assert visited.failure is None
    assert works.mark(FRAUD_LOG) == works.mark(obis.EVENT_LOG) == works.START + 61


async def test_a_template_that_lost_its_log_does_not_hold_up_a_restart(works: Any) -> None:
    asked = {"log": "fraud", "since": "2026-09-01T00:00:00Z", "until": "2026-09-02T00:00:00Z"}
    works.silent = True
    async with works.working():
        works.give(works.command("read.event_log", parameters=asked))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working(objects={"fraud_log": None}):
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "failed"
