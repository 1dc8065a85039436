"""Traces of batches and commands, in gateway.toml; without the table nothing is traced."""

from pydantic import Field

from hesper_gateway.config.fields import Record


class TracingConfig(Record):
    """How many batches are traced, and who is told of this gateway's part."""

    ratio: float = Field(default=0.01, ge=0, le=1)
    """Share of batches; of commands the cloud decides."""
    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """OTLP over HTTP with JSON, such as http://collector:4318/v1/traces; without it only the
    trace context goes along, and the trace begins at the cloud."""
