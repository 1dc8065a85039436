"""That meters of a line are told apart by their addresses."""

from pathlib import Path
from typing import Any

import pytest
from hesper_contracts.signing import Signer
from hesper_gateway import templates
from hesper_gateway.config import GatewayConfig
from hesper_gateway.configuration_check import check_files
from hesper_gateway.errors import ConfigError
from hesper_gateway.sessions.settings import check_line
from hesper_gateway.templates.addresses import check_apart

LAN = {"name": "lan", "kind": "tcp", "host": "192.0.2.1", "port": 4059}
BUS = {"name": "bus", "kind": "serial", "path": "/dev/ttyUSB0"}
OPTICAL = {"name": "optical", "kind": "serial", "path": "/dev/ttyUSB1", "mode_e": True}
CALLED = {"name": "csd", "kind": "csd", "modem": "m"}
DIAL_IN = {"name": "in", "kind": "dial-in", "port": 4060}
LINES = [LAN, LAN | {"name": "again"}, BUS, OPTICAL, CALLED, DIAL_IN]


def configured(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> GatewayConfig:
    both = [{"id": "M1", "template": "hesper-sim"}, {"id": "M2", "template": "hesper-sim"}]
    return GatewayConfig.model_validate(
        {
            "gateway": "gw-1",
            "state": str(folder),
            "broker": {"host": "127.0.0.1"},
            "keys": {"signing": str(folder / "gateway.key")},
            "modems": [{"name": "m", "path": "/dev/ttyACM0"}],
            "lines": LINES,
            "meters": [meter | said for meter, said in zip(both, (first, second), strict=True)],
        }
    )


def kinds(config: GatewayConfig) -> dict[str, templates.MeterTemplate]:
    return {meter.id: templates.load(meter.template) for meter in config.meters}


HDLC = {"template": "hesper-sim-hdlc"}


@pytest.mark.parametrize(
    ("first", "second", "address"),
    [
        ({"line": "lan"}, {"line": "lan"}, "server_address 1, where"),
        ({"line": "lan"}, {"line": "again"}, "line again would ask both at server_address 1"),
        (
            {"line": "bus", "physical_address": 17} | HDLC,
            {"line": "bus", "physical_address": 17, "server_address": 1} | HDLC,
            "server_address 1, physical_address 17",
        ),
        (
            {"line": "csd", "phone": "+491", "physical_address": 17} | HDLC,
            {"line": "csd", "phone": "+491", "physical_address": 17} | HDLC,
            "physical_address 17",
        ),
    ],
)
def test_two_meters_at_one_address_are_refused(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], address: str
) -> None:
    """Readings of the one that answers would be stored under both."""
    config = configured(tmp_path, first, second)
    with pytest.raises(ConfigError, match="meters M1 and M2") as refused:
        check_apart(config, kinds(config))
    assert address in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"line": "lan"}, {"line": "lan", "server_address": 2}),
        ({"line": "bus", "physical_address": 17}, {"line": "bus", "physical_address": 18}),
        ({"line": "bus", "physical_address": 17}, {"line": "optical", "physical_address": 17}),
        ({"line": "csd", "phone": "+491"}, {"line": "csd", "phone": "+492"}),
        (
            {"line": "optical", "mode_e_address": "1"},
            {"line": "optical", "mode_e_address": "2"},
        ),
        ({"line": "in", "logical_device_name": "A"}, {"line": "in", "logical_device_name": "B"}),
    ],
)
def test_meters_that_are_told_apart_are_taken(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    hdlc = {} if first["line"] == "lan" else HDLC
    config = configured(tmp_path, first | hdlc, second | hdlc)
    check_apart(config, kinds(config))


def test_an_address_that_nobody_would_be_asked_at_is_refused(tmp_path: Path) -> None:
    """Ignored in silence, it left logical device 1 to be asked: another one, as like as not."""
    one = {"line": "lan", "physical_address": 17}
    config = configured(tmp_path, one, {"line": "lan", "server_address": 2})
    with pytest.raises(ConfigError, match=r"meter M1: physical_address is HDLC's"):
        check_line(config.meters[0], templates.load("hesper-sim"), config.lines[0])


def test_agent_and_head_end_are_told_before_anything_is_opened(tmp_path: Path) -> None:
    Signer.generate().save(tmp_path / "gateway.key")
    keys = tmp_path / "keys.json"
    keys.write_text(f'{{"encryption_key": "{"00" * 16}", "authentication_key": "{"11" * 16}"}}')
    keys.chmod(0o600)
    meter = {"line": "lan", "keys_file": str(keys)}
    config = configured(tmp_path, meter, meter)
    with pytest.raises(ConfigError, match="meters M1 and M2"):
        check_files(config)
