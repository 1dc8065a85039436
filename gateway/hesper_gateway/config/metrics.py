"""Where the gateway answers Prometheus, in gateway.toml."""

from hesper_gateway.config.fields import Host, Port, Record


class MetricsConfig(Record):
    """Address of the metrics page; loopback, unless a site's own network may see it."""

    host: Host = "127.0.0.1"
    port: Port = 9464
