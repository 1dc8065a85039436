"""How the processes tell what they do: logs, errors, traces, and what is kept of who looked."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(_Section):
    """The log on standard error."""

    format: Literal["human", "json", "auto"] = "human"  # auto: human on a terminal, else JSON
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class ErrorTrackingSettings(_Section):
    """Where errors are told; nowhere unless one of these is set."""

    dsn: str = Field(default="", repr=False)  # of a Sentry-compatible server
    call: str = ""  # "package.module:function", called with each report as a dict
    environment: str = "production"
    per_minute: int = Field(default=30, ge=1)  # the rest is counted and not sent

    @property
    def is_on(self) -> bool:
        """Whether errors are told to anybody."""
        return bool(self.dsn or self.call)


class TracingSettings(_Section):
    """Where spans go over OTLP/HTTP; no span is made without an endpoint."""

    endpoint: str = Field(default="", pattern=r"^(https?://.+)?$")  # …:4318/v1/traces
    ratio: float = Field(default=0.1, ge=0, le=1)  # of commands; a gateway decides for its batches

    @property
    def is_on(self) -> bool:
        """Whether spans are made."""
        return bool(self.endpoint)


class PrivacySettings(_Section):
    """What is kept of who looked at households' data."""

    access_log_days: int = Field(default=3 * 366, ge=1)
