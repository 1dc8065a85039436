"""The memory that a process may have, by files as Linux shows them."""

from pathlib import Path

import pytest
from hesper_cloud.stores.duckdb_file import usual_memory_mib
from hesper_cloud.stores.machine_memory import usable_octets

MIB = 2**20
UNLIMITED = "9223372036854771712\n"


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "contents",
    [
        {
            "proc/self/cgroup": "0::/system.slice/hesper.service\n",
            "sys/fs/cgroup/system.slice/memory.max": f"{64 * MIB}\n",
            "sys/fs/cgroup/system.slice/hesper.service/memory.max": "max\n",
        },
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{64 * MIB}\n"},
        {
            "proc/self/cgroup": "4:cpu:/a\n3:hugetlb,memory:/docker/0a1b\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{64 * MIB}\n",
        },
        {
            "proc/self/cgroup": "3:memory:/docker/0a1b\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED,
            "sys/fs/cgroup/memory/docker/0a1b/memory.limit_in_bytes": f"{64 * MIB}\n",
        },
    ],
    ids=["2, of its slice", "2, container", "1, container", "1, by name"],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, contents: dict[str, str]) -> None:
    assert usable_octets(files(tmp_path, contents)) == 64 * MIB


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    machine = usable_octets(tmp_path)
    assert machine > 64 * MIB
    unlimited = {
        "proc/self/cgroup": "3:memory:/\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED,
        "sys/fs/cgroup/memory.max": "max\n",
    }
    assert usable_octets(files(tmp_path, unlimited)) == machine


def test_the_embedded_store_takes_a_quarter_within_reason() -> None:
    quarter = usable_octets() // 4 // MIB
    assert usual_memory_mib() == min(max(quarter, 512), 2048)
