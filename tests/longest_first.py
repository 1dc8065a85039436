"""Order of a run on several workers, a plugin of pytest: what takes longest begins first.

A file stays with one worker, so a long one that begins late keeps its worker busy while the others
have nothing left to do. Files that start a whole system stand between those that do not, so that
not all of them start at once.
"""

from pathlib import Path

import pytest

LONGEST = (
    "acceptance/test_certificates.py",
    "cloud/test_ingest_killed.py",
    "acceptance/test_check.py",
    "gateway/work/update/test_update.py",
    "acceptance/test_faults.py",
    "gateway/templates/test_learning.py",
    "acceptance/test_keys.py",
    "ui/test_browser.py",
    "acceptance/test_firmware.py",
    "deploy/test_prepare.py",
    "acceptance/test_tunnel.py",
    "cloud/test_api_authorisation.py",
    "acceptance/test_console.py",
    "house/test_extras.py",
    "cloud/api/test_client.py",
    "acceptance/test_bad_input.py",
    "gateway/test_app.py",
    "ui/test_browser_tasks.py",
    "cloud/api/test_schemathesis.py",
    "acceptance/test_enrolment.py",
    "lab/test_wheels.py",
    "ui/test_watching_browser.py",
    "acceptance/test_drill.py",
    "house/test_checks.py",
    "dlms/profile/test_bounds.py",
    "dlms/cli/test_meter_processes.py",
)
"""Below this folder; those that were seen to take longest, half a minute or more each."""
_SLOW = ("acceptance", "browser", "integration")
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorts the files of a worker's collection; a run without workers keeps its order."""
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if any(map(item.get_closest_marker, _SLOW))}
    places = {_HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (places.get(item.path, len(LONGEST)), item.path not in slow))
