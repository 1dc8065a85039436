"""The broker's files for a site, made from the ones in ``mosquitto/``."""

import os

from hesper_cloud.authority.broker_accounts import password_hash

from hesper_lab import private_file
from hesper_lab.site import ROOT, Site


def write(site: Site, passwords: dict[str, str]) -> None:
    """Write configuration, access rules and password file of a site's broker."""
    folder = site.broker
    (folder / "data").mkdir(exist_ok=True)
    places = {
        "listener": f"{site.ports.broker} 127.0.0.1",
        "password_file": str(folder / "passwords"),
        "acl_file": str(folder / "acl"),
        "persistence_location": f"{folder / 'data'}/",
    }
    lines = []
    for line in (ROOT / "mosquitto/mosquitto.conf").read_text().splitlines():
        name = line.partition(" ")[0]
        lines.append(f"{name} {places[name]}" if name in places else line)
    if os.geteuid() == 0:
        # Mosquitto would drop to an account that may not read a folder of root's.
        lines.append("user root")
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    private_file.write(folder / "acl", (ROOT / "mosquitto/acl").read_text())
    accounts = (f"{name}:{password_hash(password)}\n" for name, password in passwords.items())
    private_file.write(folder / "passwords", "".join(accounts))
