"""Health of a container that serves MQTT alone: exits 0 while a link to the broker stands.

Reads the kernel's table of TCP connections, so that it needs no account on the broker. The
arguments are the broker's ports, one of which is enough; 1883 without any.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

ESTABLISHED = "01"
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


def is_connected(port: int, tables: Iterable[Path] = TABLES) -> bool:
    """Return whether a TCP connection to this remote port is established."""
    for table in tables:
        if not table.exists():
            continue
        for row in table.read_text().splitlines()[1:]:
            _, _local, remote, state, *_ = row.split()
            if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                return True
    return False


if __name__ == "__main__":
    sys.exit(0 if any(is_connected(int(port)) for port in sys.argv[1:] or ["1883"]) else 1)
