"""The processes of a site: started in the order they need, stopped in the other."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from hesper_sim import fleet as fleets
from hesper_sim.cli import ask
from hesper_sim.errors import SimulatorError
from hesper_sim.fleet import Fleet, FleetSettings

from hesper_lab import broker_files, cloud_files, gateway_files, influx_files, system
from hesper_lab.ports import accepts, answers
from hesper_lab.processes import Child, wait_until
from hesper_lab.site import PACKAGES, Site

Say = Callable[[str], None]
_BIN = Path(sys.executable).parent
_READY_S = 90.0


def fleet_of(site: Site) -> Fleet:
    """Return the plan of a site's fleet."""
    return fleets.plan(
        FleetSettings(
            tcp=site.wishes.tcp_meters,
            shared=site.wishes.shared_meters,
            dial_in=site.wishes.dial_in_meters,
            rs485=site.wishes.rs485_meters,
            push=site.wishes.pushes,
            tcp_ports=tuple(site.ports.tcp),
            shared_port=site.ports.shared,
            dial_in_port=site.ports.dial_in,
        )
    )


class Running:
    """A site's processes by name: broker, influx, sim, authority, cloud and the gateways."""

    def __init__(self, site: Site, say: Say, *, install: bool = True) -> None:
        self.site = site
        self.fleet = fleet_of(site)
        self._say = say
        self._install = install
        self.children: dict[str, Child] = {}

    def provision(self) -> None:
        """Write every file and record of the site; safe to repeat, with fresh broker passwords."""
        self._say("writing keys, accounts and configuration")
        site = self.site
        passwords = cloud_files.broker_passwords(site)
        broker_files.write(site, passwords)
        (site.sim / "fleet.toml").write_text(self.fleet.settings.to_toml())
        settings = cloud_files.write(site, passwords)
        trust = cloud_files.initialise(settings)
        public_keys = gateway_files.write(site, self.fleet, trust, passwords)
        if site.is_new:
            cloud_files.enter(site, settings, self.fleet, public_keys)
        site.remember()

    def start(self) -> None:
        """Start everything and wait until it serves.

        Raises:
            Missing: Mosquitto or InfluxDB is not on this machine and could not be brought.
            Died: a process ended, with the end of its log.
        """
        for name, begin in (
            ("broker", self._start_broker),
            ("influx", self._start_influx),
            ("sim", self._start_sim),
            ("authority", self._start_authority),
            ("cloud", self._start_cloud),
            ("gateways", self._start_gateways),
        ):
            if name != "influx" or self.site.wishes.store == "influx":
                self._say(f"starting {name}")
                begin()
        self._wait_until_live()

    def restart(self, name: str) -> None:
        """Start a killed process again."""
        self.children[name].start()

    def check(self) -> None:
        """Raise ``Died`` if any process has ended."""
        for child in self.children.values():
            child.check()

    def stop(self) -> None:
        """Stop everything, gateways first, broker last."""
        for child in reversed(self.children.values()):
            child.stop()

    def ask_sim(self, request: dict[str, object]) -> dict[str, object]:
        """Put one request to the simulator's control socket."""
        return ask(self.site.sim, request)

    def health(self) -> bool:
        """Return whether the head end says it is well."""
        return answers(f"{self.site.url}/health", timeout_s=2)

    def _add(self, name: str, *command: str | Path, **environment: str) -> Child:
        child = Child(name, command, self.site.logs / f"{name}.log", environment)
        self.children[name] = child
        child.start()
        return child

    def _start_broker(self) -> None:
        program = system.require(system.MOSQUITTO, PACKAGES, self._say, install=self._install)
        config = self.site.broker / "mosquitto.conf"
        child = self._add("broker", program.path, "-c", config, **program.environment)
        wait_until(lambda: accepts(self.site.ports.broker), child, _READY_S, "listening")

    def _start_influx(self) -> None:
        program = system.require(system.INFLUXD, PACKAGES, self._say, install=self._install)
        config = influx_files.write(self.site)
        environment = influx_files.environment(program)
        child = self._add("influx", program.path, "-config", config, **environment)
        wait_until(lambda: accepts(self.site.ports.influx), child, _READY_S, "listening")

    def _start_sim(self) -> None:
        wishes, state = self.site.wishes, self.site.sim
        child = self._add(
            "sim",
            *(_BIN / "hesper-sim", "serve", "--state", state, "--fleet", state / "fleet.toml"),
            *("--capture-period", str(wishes.capture_period_s)),
            *("--history-days", str(wishes.history_days)),
            *(("--scenario", wishes.scenario) if wishes.scenario else ()),
        )
        wait_until(self._sim_answers, child, _READY_S, "serving")

    def _sim_answers(self) -> bool:
        try:
            return bool(self.ask_sim({"op": "status"}))
        except (OSError, SimulatorError, json.JSONDecodeError):
            return False

    def _start_authority(self) -> None:
        self._add("authority", _BIN / "hesper-cloud", "authority", "-c", self._cloud_toml)

    def _start_cloud(self) -> None:
        self._add("cloud", _BIN / "hesper-cloud", "run", "-c", self._cloud_toml)

    def _start_gateways(self) -> None:
        for name in gateway_files.gateways(self.site.wishes):
            config = self.site.gateways / name / "gateway.toml"
            self._add(name, _BIN / "hesper-gateway", "run", "-c", config)

    def _wait_until_live(self) -> None:
        self._say("waiting for the console")
        wait_until(self.health, self.children["cloud"], _READY_S, "answering /health")

    @property
    def _cloud_toml(self) -> Path:
        return self.site.cloud / "cloud.toml"


@contextlib.contextmanager
def running(site: Site, say: Say, *, install: bool = True) -> Iterator[Running]:
    """Provision and start a site; stop it whatever happens."""
    processes = Running(site, say, install=install)
    processes.provision()
    with started(processes):
        yield processes


@contextlib.contextmanager
def started(processes: Running) -> Iterator[None]:
    """Start a site that is provisioned; stop it whatever happens."""
    try:
        processes.start()
        yield
    finally:
        processes.stop()
        processes.site.lock.close()
