"""Whether the agent can work with a gateway.toml and the files that it names.

One check for all who take such a file: the agent at its start, `commission`, `enroll`, and the
command that brings another. What one of them takes is taken by the others. Nothing is opened,
written or sent.
"""

import time

from hesper_gateway import meter_keys, templates
from hesper_gateway.config import DialInLine, GatewayConfig, LineConfig, MeterConfig
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.lines.recognition import KnownMeters
from hesper_gateway.meter_state import MeterState
from hesper_gateway.push_owner import PushMeter, PushMeters
from hesper_gateway.secrets_files import load_signer
from hesper_gateway.sessions.settings import check_line, check_roles
from hesper_gateway.templates.addresses import check_apart
from hesper_gateway.templates.model import MeterTemplate


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
    loaded = templates.load_each(config.templates, (meter.template for meter in config.meters))
    for line in config.lines:
        meters = config.meters_on(line.name)
        if line.kind.startswith("push-"):
            pushing = [_pushing(config, meter, loaded[meter.template]) for meter in meters]
            PushMeters(line.name, pushing)
            continue
        if isinstance(line, DialInLine):
            KnownMeters(meters)
        for meter in meters:
            _check_read(meter, loaded[meter.template], line)
    check_apart(config, {meter.id: loaded[meter.template] for meter in config.meters})


def _check_read(meter: MeterConfig, template: MeterTemplate, line: LineConfig) -> None:
    keys = meter_keys.load(meter.keys_file)
    check_line(meter, template, line)
    if template.engine == "gurux":
        Gurux().check(meter, template)
    check_roles(meter, template, keys)


def _pushing(config: GatewayConfig, meter: MeterConfig, template: MeterTemplate) -> PushMeter:
    state = MeterState(meter.id, config.schedule, time.time)
    return PushMeter(meter, template, meter_keys.load(meter.keys_file), state)
