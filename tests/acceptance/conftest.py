"""One whole running system for a module of tests: broker, 26 meters, gateways, head end.

Tests run on it one after another and leave it running. Whatever a test makes the
store hold besides what meters latched it adds to `System.also_sent`, and whatever relay command was
confirmed is in `System.confirmed`, so that the last account still adds up.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from hesper_contracts.topics import Topics
from hesper_lab import gateway_files, system
from hesper_lab.reconcile import Account, reconcile, reconcile_relays
from hesper_lab.rest import Rest
from hesper_lab.running import Running, running, started
from hesper_lab.site import PACKAGES, Site, Wishes
from hesper_sim import ledger
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from patience import PATIENCE_S, eventually

CAPTURE_PERIOD_S = 3
DRAIN_S = 120.0
DRAINED_POLL_S = 0.5
LOAD_PROFILE = "1.0.99.1.0.255"
HOW = {"slow": {"value": 1.5}}  # seconds: a command that waits for a reading gets there in time
TERMINAL = {"confirmed", "failed", "rejected", "expired", "cancelled"}
UNSETTLED = (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT)
CLOUD_ACCOUNTS = {"hes.ingest": "ingest", "hes.authority": "authority"}


class System:
    """The running system with two people logged in."""

    def __init__(self, processes: Running) -> None:
        self.processes = processes
        self.site = processes.site
        self.operator = Rest(self.site.url, self.site.account("operator"))
        self.approver = Rest(self.site.url, self.site.account("approver"))
        self.confirmed: list[tuple[str, str]] = []
        self.also_sent: list[dict[str, Any]] = []

    eventually = staticmethod(eventually)

    def close(self) -> None:
        """Ends the two people's connections."""
        self.operator.close()
        self.approver.close()

    @property
    def serials(self) -> set[str]:
        """All simulated meters."""
        return {meter.serial for meter in self.processes.fleet.meters}

    def meters_of(self, gateway: str) -> list[str]:
        """The serial numbers behind one gateway."""
        meters = self.processes.fleet.meters
        wishes = self.site.wishes
        return [each.serial for each in meters if gateway_files.gateway_of(wishes, each) == gateway]

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """What the simulator's journal says."""
        return list(ledger.records(self.site.sim, *kinds))

    def movements(self, meter: str) -> list[bool]:
        """Every movement of one relay, true for closed."""
        return [each["output"] for each in self.records("relay") if each["meter"] == meter]

    def relay_output(self, meter: str) -> bool:
        """Where one relay really stands."""
        told: Any = self.processes.ask_sim({"op": "status"})["meters"]
        return bool(next(each["output"] for each in told if each["meter"] == meter))

    def fault(self, meter: str, fault: str) -> None:
        """Breaks a meter for as long as the test may need."""
        request = {"op": "fault", "meter": meter, "fault": fault, "seconds": 200} | HOW.get(
            fault, {}
        )
        assert self.processes.ask_sim(request)["ok"]

    def mend(self, meter: str, fault: str) -> None:
        """Ends a fault."""
        assert self.processes.ask_sim({"op": "clear", "meter": meter, "fault": fault})["ok"]

    def kill_once(self, name: str) -> None:
        """Kills a process and starts it again at once, as its service manager would."""
        self.processes.children[name].kill()
        self.processes.restart(name)

    def latched_since(self, moment: float) -> set[str]:
        """Which meters have latched anything captured after a moment."""
        return {r["meter"] for r in self.records("latch") if r["captured_at"] > moment}

    def stored_since(self, moment: float) -> set[str]:
        """Which meters' load profiles are stored with something captured after a moment."""
        rows = self.operator.export(since=int(moment) + 1)
        return {row.meter for row in rows if row.profile == LOAD_PROFILE}

    def wait_for_latches(self) -> None:
        """Returns once every meter has latched anew."""
        now = time.time()
        eventually(lambda: self.latched_since(now) >= self.serials, "every meter latches")

    def wait_until_flowing(self) -> None:
        """Returns once something captured after now is stored of every meter."""
        now = time.time()
        eventually(
            lambda: self.stored_since(now) >= self.serials,
            "new values of every meter in the store",
        )

    def wait_until_well(self) -> None:
        """Returns once the head end says that it is well."""
        eventually(self.processes.health, "/health says ok")

    def ask(self, meter: str, action: str, but_first: str = "") -> str:
        """Has a relay command requested, and approved where it must be; returns its id.

        A fault that is named begins between request and approval, when the meter's line is idle.
        """
        self.wait_until_commandable(meter)
        command = str(eventually(lambda: self._requested(meter, action), "the authority answers"))
        if but_first:
            self.fault(meter, but_first)
        if self.operator.command_state(command) == "awaiting_approval":
            self.approver.approve(command)
        return command

    def ask_through_faults(self, meter: str, action: str) -> str:
        """As `ask`, while processes that take part in it go down and come back."""
        self.wait_until_commandable(meter)
        what = f"{action} of {meter} is asked for"
        command = str(eventually(lambda: self._asked_for(meter, action), what))
        eventually(lambda: self._is_past_approval(command), f"{command} is approved")
        return command

    def _asked_for(self, meter: str, action: str) -> str | None:
        """Requests a relay command; one that the authority made and could not tell of counts."""
        try:
            return self.operator.request_relay(meter, action, "acceptance test")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return None
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            made = self.operator.get("/commands", meter=meter)
            return next((str(one["id"]) for one in made if one["state"] not in TERMINAL), None)

    def _is_past_approval(self, command: str) -> bool:
        if self.operator.command_state(command) != "awaiting_approval":
            return True
        try:
            self.approver.approve(command)
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in UNSETTLED:
                raise
            return False
        return True

    def shown_output(self, meter: str) -> bool | None:
        """Where the head end says that a relay stands."""
        shown: bool | None = self.operator.get(f"/meters/{meter}")["row"]["relay_output"]
        return shown

    def _requested(self, meter: str, action: str) -> str | None:
        """Requests a relay command; None while the authority, just started, does not answer."""
        try:
            return self.operator.request_relay(meter, action, "acceptance test")
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                raise
            return None

    def wait_until_commandable(self, meter: str) -> None:
        """Returns once the head end knows where a meter's relay stands."""
        eventually(
            lambda: self.operator.get(f"/meters/{meter}")["disconnect_blocked"] is None,
            f"the relay of {meter} may be commanded",
        )

    def outcome(self, command: str, seconds: float = PATIENCE_S) -> str:
        """Returns the terminal state of a command; counts it if it was confirmed."""
        eventually(
            lambda: self.operator.command_state(command) in TERMINAL,
            f"command {command} settles",
            seconds,
        )
        row = self.operator.get(f"/commands/{command}")
        if row["state"] == "confirmed" and row["kind"].startswith("relay."):
            self.confirmed.append((row["meter"], row["kind"].removeprefix("relay.")))
        return str(row["state"])

    def dead_letters(self) -> dict[tuple[str, str], str]:
        """Returns the reasons of dead letters by topic and digest."""
        rows = self.operator.get("/dead-letters", limit="1000")
        return {(row["topic"], row["digest"]): row["reason"] for row in rows}

    def wait_for_dead_letter(self, topic: str, payload: bytes) -> str:
        """Returns the reason with which a payload became a dead letter."""
        letter = topic, hashlib.sha256(payload).hexdigest()
        return str(eventually(lambda: self.dead_letters().get(letter), f"dead letter on {topic}"))

    def account(self) -> Account:
        """Holds the journal, and what tests sent themselves, against the export."""
        latched = [*self.records("latch"), *self.also_sent]
        return reconcile(latched, self.records("push"), self.operator.export())

    def reconcile(self) -> None:
        """Lets the system drain and insists that everything adds up, readings and relays."""
        self.processes.check()
        self.processes.ask_sim({"op": "stop_latching"})
        deadline = time.monotonic() + DRAIN_S
        while not (account := self.account()).is_clean and time.monotonic() < deadline:
            time.sleep(DRAINED_POLL_S)
        assert account.is_clean, dict(account.examples)
        assert account.latched > 0
        assert account.captured_values_expected > 0
        assert not reconcile_relays(self.confirmed, self.records("relay")).wrong
        self.processes.ask_sim({"op": "start_latching"})


class Client:
    """An MQTT client with an account of the site, of which it keeps everything it receives."""

    def __init__(self, host: str, port: int, account: str, password: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.refusal: str | None = None
        self._answered = threading.Event()
        self._subscribed = threading.Event()
        self._cut = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(account, password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._cut.set()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.received.append(
            (message.topic, bytes(message.payload))
        )
        self._client.connect(host, port)
        self._client.loop_start()
        assert self._answered.wait(PATIENCE_S)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        self.refusal = str(reason) if reason.is_failure else None
        self._answered.set()

    def subscribe(self, *filters: str) -> None:
        """Subscribes and waits for the broker's answer."""
        self._subscribed.clear()
        self._client.subscribe([(each, 1) for each in filters])
        assert self._subscribed.wait(PATIENCE_S)

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes and waits for the broker's acknowledgement."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE_S)

    def send_in_vain(self, topic: str, payload: bytes) -> None:
        """Publishes what makes the broker cut the connection; returns when it has."""
        self._cut.clear()
        self._client.publish(topic, payload, qos=1)
        assert self._cut.wait(PATIENCE_S)

    def payloads(self, topic_end: str) -> list[bytes]:
        """Returns what came on topics with this end."""
        return [payload for topic, payload in self.received if topic.endswith(topic_end)]

    def close(self) -> None:
        """Goes away."""
        self._client.disconnect()
        self._client.loop_stop()


def mosquitto_or_skip() -> None:
    """Skips where there is no broker to start."""
    if system.find("mosquitto", PACKAGES / "mosquitto") is None:
        pytest.skip("mosquitto is not on this machine")


@pytest.fixture(scope="module")
def hesper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The running system, with something of every meter in its store."""
    mosquitto_or_skip()
    wishes = Wishes(
        capture_period_s=CAPTURE_PERIOD_S, history_days=0, snapshot_s=5,
        tcp_meters=16, shared_meters=4, dial_in_meters=3, rs485_meters=3,
    )  # fmt: skip
    site = Site.open(tmp_path_factory.mktemp("site"), wishes)
    with running(site, lambda _: None, install=False) as processes:
        whole = System(processes)
        whole.wait_until_flowing()
        yield whole
        whole.close()


@pytest.fixture(scope="module")
def own_site(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Wishes, Callable[[Site], None]], AbstractContextManager[System]]:
    """Makes ``with own_site(wishes, change) as system``: files are changed before the start."""

    @contextmanager
    def make(wishes: Wishes, change: Callable[[Site], None]) -> Iterator[System]:
        mosquitto_or_skip()
        site = Site.open(tmp_path_factory.mktemp("site"), wishes)
        processes = Running(site, lambda _: None, install=False)
        processes.provision()
        change(site)
        with started(processes):
            whole = System(processes)
            yield whole
            whole.close()

    return make


@pytest.fixture
def topics() -> Topics:
    """The names of the contract's topics."""
    return Topics()


@pytest.fixture
def account_of(hesper: System) -> Callable[[str], Any]:
    """Makes ``with account_of("gw-lan") as client``: somebody who has that account's password."""

    def password(account: str) -> str:
        if role := CLOUD_ACCOUNTS.get(account):
            return (hesper.site.cloud / f"{role}.password").read_text()
        return (hesper.site.gateways / account / "broker.password").read_text()

    @contextmanager
    def make(account: str, wrong: str | None = None) -> Iterator[Client]:
        secret = wrong or password(account)
        client = Client("127.0.0.1", hesper.site.ports.broker, account, secret)
        try:
            yield client
        finally:
            client.close()

    return make
