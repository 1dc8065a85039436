"""Whether the agent can work with a gateway.toml and the files that it names.

One check for all who take such a file: the agent at its start, `commission`, `enroll`, and the
command that brings another. What one of them takes is taken by the others. Nothing is opened,
written or sent.
"""

import time
from collections.abc import Sequence

from hesper_gateway import meter_keys, templates
from hesper_gateway.config import DialInLine, GatewayConfig, LineConfig, MeterConfig
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.lines.recognition import KnownMeters
from hesper_gateway.meter_state import MeterState
from hesper_gateway.push_owner import PushMeter, PushMeters
from hesper_gateway.secrets_files import load_signer
from hesper_gateway.sessions.settings import check_line, check_roles
from hesper_gateway.templates.addresses import check_apart


def check_files(config: GatewayConfig) -> None:
    """Refuse what can never work, the gateway's own key included.

    Raises:
        ConfigError: the text says what to correct.
    """
    load_signer(config.keys.signing)
    check_field(config)


def check_field(config: GatewayConfig) -> None:
    """Refuse lines and meters that can never work.

    Raises:
        ConfigError: a line, a meter, its template or its keys; the text says what to correct.
    """
    for line in config.lines:
        meters = config.meters_on(line.name)
        if line.kind.startswith("push-"):
            PushMeters(line.name, [_pushing(config, meter) for meter in meters])
            continue
        if isinstance(line, DialInLine):
            KnownMeters(meters)
        _check_read(config, line, meters)
    kinds = {each.id: templates.load_own(config.templates, each.template) for each in config.meters}
    check_apart(config, kinds)


def _check_read(config: GatewayConfig, line: LineConfig, meters: Sequence[MeterConfig]) -> None:
    for meter in meters:
        template = templates.load_own(config.templates, meter.template)
        keys = meter_keys.load(meter.keys_file)
        check_line(meter, template, line)
        if template.engine == "gurux":
            Gurux().check(meter, template)
        check_roles(meter, template, keys)


def _pushing(config: GatewayConfig, meter: MeterConfig) -> PushMeter:
    template = templates.load_own(config.templates, meter.template)
    state = MeterState(meter.id, config.schedule, time.time)
    return PushMeter(meter, template, meter_keys.load(meter.keys_file), state)
