"""One running Hesper on this machine: its folder, its ports, its accounts.

Everything lives below one folder, so that removing the folder removes the site. Ports are chosen
free once and kept, so that a second start finds the same addresses; a port that somebody else has
taken meanwhile is chosen anew.
"""

import fcntl
import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from hesper_lab import private_file
from hesper_lab.ports import free_port

StoreKind = Literal["duckdb", "influx"]
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".hesper"
PACKAGES = HOME / "packages"
STORES: tuple[StoreKind, ...] = ("duckdb", "influx")
LOOPBACK = "127.0.0.1"
_LOCK_NAME = "lock"


class InUse(Exception):
    """Another demo runs on this folder."""


class NotASite(Exception):
    """A folder that was named as a site's holds something else."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants of a site; fixed when its folder is made."""

    store: StoreKind = "duckdb"
    capture_period_s: int = 900
    history_days: int = 30
    snapshot_s: int = 10
    tcp_meters: int = 24
    shared_meters: int = 16
    dial_in_meters: int = 12
    rs485_meters: int = 8
    pushes: bool = True  # replayed captures, and the gateway that hears them
    one_gateway: bool = False  # reads every meter, whatever its line
    scenario: str = ""  # the file of what goes wrong; none: nothing does
    console_host: str = LOOPBACK
    console_port: int | None = None  # the one to prefer; none: whichever is free


@dataclass(slots=True)
class Ports:
    """The loopback ports of a site."""

    broker: int
    web: int
    dial_in: int
    shared: int
    influx: int
    influx_rpc: int
    tcp: list[int]

    @classmethod
    def choose(cls, wanted: "Ports | None", wishes: Wishes) -> "Ports":
        """Return free ports, those of last time where they are still free."""
        first = {"web": wishes.console_port, "tcp": [None] * wishes.tcp_meters}
        before: dict[str, Any] = asdict(wanted) if wanted else first
        names = ("broker", "web", "dial_in", "shared", "influx", "influx_rpc")
        taken: set[int] = set()

        def one(port: int | None) -> int:
            chosen = free_port(port)
            while chosen in taken:
                chosen = free_port()
            taken.add(chosen)
            return chosen

        single = {name: one(before.get(name)) for name in names}
        return cls(**single, tcp=[one(port) for port in before["tcp"]])


@dataclass(frozen=True, slots=True)
class Account:
    """A console account with the password it was first given."""

    username: str
    role: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Site:
    """A site's folder and what is in it."""

    folder: Path
    wishes: Wishes
    ports: Ports
    accounts: tuple[Account, ...]
    is_new: bool
    lock: IO[bytes] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, wishes: Wishes) -> "Site":
        """Open a folder's site, or begin a new one with these wishes.

        The wishes of an existing site stay, but for where the console listens; whoever wants
        others resets it first. The site holds its folder until its lock is closed.

        Raises:
            InUse: another run holds the folder.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(folder)
        file = folder / "site.json"
        known = json.loads(file.read_text()) if file.exists() else None
        if known:
            wishes = replace(Wishes(**known["wishes"]), console_host=wishes.console_host)
        ports = Ports.choose(Ports(**known["ports"]) if known else None, wishes)
        accounts = known["accounts"] if known else _first_accounts()
        site = cls(
            folder, wishes, ports, tuple(Account(**each) for each in accounts), known is None, lock
        )
        for place in (site.logs, site.broker, site.sim, site.cloud, site.gateways):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return site

    def remember(self) -> None:
        """Write down what makes this site; a site without it is provisioned from the start."""
        document = {
            "wishes": asdict(self.wishes),
            "ports": asdict(self.ports),
            "accounts": [asdict(account) for account in self.accounts],
        }
        private_file.write(self.folder / "site.json", json.dumps(document, indent=1))

    @property
    def logs(self) -> Path:
        """Where every process writes its log."""
        return self.folder / "logs"

    @property
    def broker(self) -> Path:
        """The broker's configuration and state."""
        return self.folder / "broker"

    @property
    def sim(self) -> Path:
        """The fleet's journal, pseudo-terminals and control socket."""
        return self.folder / "sim"

    @property
    def cloud(self) -> Path:
        """The head end's configuration, keys, databases."""
        return self.folder / "cloud"

    @property
    def gateways(self) -> Path:
        """One folder per gateway."""
        return self.folder / "gateways"

    @property
    def url(self) -> str:
        """Where the console answers."""
        return f"http://127.0.0.1:{self.ports.web}"

    def account(self, role: str) -> Account:
        """Return the first account of a role."""
        return next(account for account in self.accounts if account.role == role)


def forget(folder: Path) -> None:
    """Remove a site with all its state; a folder that is not there is forgotten already.

    Raises:
        InUse: a run holds the folder.
        NotASite: it holds something else, which is not ours to remove.
    """
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / _LOCK_NAME).exists():
        raise NotASite(f"{folder} holds something else than Hesper's state; name another --state")
    with _lock(folder):
        shutil.rmtree(folder)


def _lock(folder: Path) -> IO[bytes]:
    """Hold the folder until the process ends or the file is closed."""
    file = (folder / _LOCK_NAME).open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUse(f"another run uses {folder}; stop it, or name another --state") from None
    return file


def _first_accounts() -> list[dict[str, str]]:
    roles = {each: each for each in ("operator", "approver", "admin")}
    roles["second-approver"] = "approver"  # whoever set the kill switch, two others may lift it
    return [
        {"username": name, "role": role, "password": secrets.token_urlsafe(9)}
        for name, role in roles.items()
    ]
