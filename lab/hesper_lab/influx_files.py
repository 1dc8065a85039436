"""The configuration of an InfluxDB 1.x that belongs to a site."""

from pathlib import Path

from hesper_lab.site import Site


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
