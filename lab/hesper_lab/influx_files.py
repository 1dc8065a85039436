"""The configuration of an InfluxDB 1.x that belongs to a site."""

from pathlib import Path
from typing import Final

from hesper_lab import system
from hesper_lab.site import Site

_GARBAGE_COLLECTOR: Final = {"GOGC": "200"}  # half as often: less CPU time, more memory


def environment(influxd: system.Program) -> dict[str, str]:
    """Return what the server runs with beside the environment of this process."""
    return influxd.environment | _GARBAGE_COLLECTOR


def write(site: Site) -> Path:
    """Write influxdb.conf for loopback alone; return its path."""
    folder = site.folder / "influx"
    folder.mkdir(exist_ok=True)
    path = folder / "influxdb.conf"
    path.write_text(f"""\
reporting-disabled = true
bind-address = "127.0.0.1:{site.ports.influx_rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
  cache-snapshot-memory-size = "128m"
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{site.ports.influx}"
  log-enabled = false
[monitor]
  store-enabled = false
[ifql]
  enabled = false
""")
    return path
