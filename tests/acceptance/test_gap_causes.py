"""Each cause of a gap, provoked with meters, gateways, broker, head end and store as they are.

What goes wrong with meters, lines and a gateway goes wrong at the same time, each at a meter of its
own, and all of it is mended while their gateway is off. The store of another system is stopped at
the beginning, since it takes a minute until a head end believes that.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_lab.ports import free_port
from hesper_lab.site import Site, Wishes

sys.path.insert(0, str(Path(__file__).parent))
from cable import Cable
from patience import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]
LAN, RS485 = "gw-lan", "gw-rs485"
LOAD_PROFILE = "1.0.99.1.0.255"
SMALL = {"shared_meters": 0, "dial_in_meters": 0, "history_days": 0, "pushes": False}
PERIOD_S = 3
GRACE_S = 10
"""Longer than a gateway needs to come back: causes are of what lasts."""
STORE_GRACE_S = 75
"""Longer than the minute that a head end gives its store."""
SILENT, DARK, REFUSING, OTHER_KEYS, CUT_OFF, WELL = range(6)
FAULTS = {SILENT: "silent", DARK: "outage", REFUSING: "profile_refused"}
WIRED = (OTHER_KEYS, CUT_OFF)
IMPATIENT = "[backfill]\nafter_s = 0\nsettle_s = 1\n[rules]\ngap_grace_s = {}"
Sites = Callable[[Wishes, Callable[[Site], None]], AbstractContextManager[Any]]
Gap = dict[str, Any]


class Town(NamedTuple):
    """The running system, and the cables to some of its meters."""

    hesper: Any
    cables: dict[int, Cable]

    def meter(self, place: int) -> str:
        return str(self.hesper.meters_of(LAN)[place])


def impatient(site: Site, grace_s: int, silent_after_s: int = 60) -> None:
    """Gaps are asked for as soon as they are known."""
    toml = site.cloud / "cloud.toml"
    text = toml.read_text().replace("[rules]", IMPATIENT.format(grace_s))
    toml.write_text(text.replace("silent_after_s = 60", f"silent_after_s = {silent_after_s}"))


def gap(hesper: Any, meter: str, since: float, *states: str) -> Gap | None:
    """The first gap of a meter's load profile that reaches beyond a moment, in a state of these."""
    wanted = {"meter": meter, "profile": LOAD_PROFILE}
    found = [
        each for state in states for each in hesper.operator.get("/gaps", **wanted, state=state)
    ]
    late = [each for each in found if datetime.fromisoformat(each["to_at"]).timestamp() > since]
    return min(late, key=lambda each: str(each["from_at"]), default=None)


def named(hesper: Any, meter: str, since: float, cause: str) -> None:
    """Waits until a gap that is open has its cause."""

    def is_named() -> bool:
        found = gap(hesper, meter, since, "open", "requested")
        return found is not None and found["cause"] == cause

    eventually(is_named, f"what {meter} misses is called {cause}")


def closed(hesper: Any, meter: str, since: float, cause: str) -> Gap:
    """Waits until what was missing is stored; its proof counts it, and the cause stands."""
    found: Gap = eventually(partial(gap, hesper, meter, since, "closed"), f"{meter} misses nothing")
    assert found["cause"] == cause
    assert found["proof"]["captures"] == found["expected_count"] > 0
    return found


@pytest.fixture(scope="module", autouse=True)
def storeless(own_site: Sites) -> Iterator[tuple[Any, float] | None]:
    """A system whose store is away, and since when; none where there is no InfluxDB."""
    if not shutil.which("influxd"):
        yield None
        return
    wishes = Wishes("influx", PERIOD_S, tcp_meters=1, rs485_meters=0, **SMALL)
    with own_site(wishes, partial(impatient, grace_s=STORE_GRACE_S)) as hesper:
        hesper.wait_until_flowing()
        hesper.processes.children["influx"].stop()
        yield hesper, time.time()


@pytest.fixture(scope="module")
def town(own_site: Sites) -> Iterator[Town]:
    """The system in which everything else goes wrong; two of its meters hang on cables."""
    cables: dict[int, Cable] = {}

    def change(site: Site) -> None:
        impatient(site, GRACE_S, silent_after_s=120)  # what is told comes before what is guessed
        toml = site.gateways / LAN / "gateway.toml"
        text = toml.read_text()
        for place in WIRED:
            far_port = site.ports.tcp[place]
            cables[place] = Cable(free_port(), far_port)
            text = text.replace(f"port = {far_port}\n", f"port = {cables[place].port}\n")
        toml.write_text(text)

    wishes = Wishes(capture_period_s=PERIOD_S, tcp_meters=6, rs485_meters=2, **SMALL)
    with own_site(wishes, change) as hesper:
        hesper.wait_until_flowing()
        yield Town(hesper, cables)
    for cable in cables.values():
        cable.pull()


@pytest.fixture(scope="module")
def broken_at(town: Town) -> float:
    """When everything went wrong."""
    begun_at = time.time()
    for place, fault in FAULTS.items():
        town.hesper.fault(town.meter(place), fault)
    for cable in town.cables.values():
        cable.pull()
    town.cables[OTHER_KEYS].plug(town.hesper.site.ports.tcp[WELL])
    town.hesper.processes.children[RS485].kill()
    return begun_at


CAUSES = {
    SILENT: "silent meter",
    DARK: "silent meter",
    REFUSING: "meter refuses",
    OTHER_KEYS: "association",
    CUT_OFF: "line",
}


@pytest.fixture(scope="module")
def mended(town: Town, broken_at: float) -> None:
    """Everything is as it was; the gateway that knew what was wrong has started anew."""
    children, ports = town.hesper.processes.children, town.hesper.site.ports.tcp
    children[LAN].kill()
    for place, fault in FAULTS.items():
        town.hesper.mend(town.meter(place), fault)
    town.cables[OTHER_KEYS].pull()
    for place, cable in town.cables.items():
        cable.plug(ports[place])
    for gateway in (LAN, RS485):
        town.hesper.processes.restart(gateway)


def test_what_is_wrong_is_the_cause(town: Town, broken_at: float) -> None:
    for place, cause in CAUSES.items():
        named(town.hesper, town.meter(place), broken_at, cause)
    for meter in town.hesper.meters_of(RS485):
        named(town.hesper, meter, broken_at, "gateway offline")
    missing = partial(gap, town.hesper, town.meter(WELL), broken_at, "open", "requested")
    eventually(lambda: missing() is None, "nothing is missing of a meter that is well")


@pytest.mark.usefixtures("mended")
def test_what_meters_kept_comes_when_it_is_mended(town: Town, broken_at: float) -> None:
    for place in (SILENT, REFUSING, OTHER_KEYS, CUT_OFF):
        closed(town.hesper, town.meter(place), broken_at, CAUSES[place])
    for meter in town.hesper.meters_of(RS485):
        closed(town.hesper, meter, broken_at, "gateway offline")


@pytest.mark.usefixtures("mended")
def test_what_a_meter_did_not_capture_is_given_up_by_its_word(town: Town, broken_at: float) -> None:
    meter = town.meter(DARK)
    found = eventually(partial(gap, town.hesper, meter, broken_at, "given_up"), "it is asked")
    assert found["cause"] == "meter reports none"
    command = town.hesper.operator.get(f"/commands/{found['proof']['command']}")
    assert (command["kind"], command["state"]) == ("read.profile", "confirmed")


@pytest.mark.usefixtures("mended")
def test_nobody_is_blamed_for_what_the_store_lost(town: Town) -> None:
    """The meter did not answer before; its gateway, started anew, did not say that it does."""
    meter, children = town.meter(SILENT), town.hesper.processes.children
    town.hesper.wait_until_flowing()
    children["cloud"].kill()
    store = DuckDbStore(town.hesper.site.cloud / "state" / "readings.duckdb")
    assert store.erase(meter)
    store.close()
    begun_at = time.time() - GRACE_S
    town.hesper.processes.restart("cloud")
    town.hesper.wait_until_well()
    found = closed(town.hesper, meter, begun_at, "unknown")
    assert found["proof"]["command"]


def test_a_broker_that_is_stopped_is_the_cause(town: Town) -> None:
    meter, begun_at = town.meter(WELL), time.time()
    town.hesper.processes.children["broker"].stop()
    named(town.hesper, meter, begun_at, "broker")
    town.hesper.processes.restart("broker")
    closed(town.hesper, meter, begun_at, "broker")


def test_a_store_that_is_away_is_the_cause(storeless: tuple[Any, float] | None) -> None:
    if storeless is None:
        pytest.skip("influxd is not installed")
    hesper, begun_at = storeless
    (meter,) = hesper.meters_of(LAN)
    named(hesper, meter, begun_at, "store")
    hesper.processes.restart("influx")
    closed(hesper, meter, begun_at, "store")
