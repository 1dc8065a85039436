"""Where a process opens its tracer: the SDK is not even loaded where nothing is traced."""

from typing import TYPE_CHECKING

from hesper_cloud.observing_settings import TracingSettings

if TYPE_CHECKING:
    from hesper_cloud.observing.tracer import Tracer


def tracer_of(settings: TracingSettings, role: str) -> "Tracer | None":
    """Returns a tracer where an endpoint is configured."""
    if not settings.is_on:
        return None
    from hesper_cloud.observing.tracer import Tracer

    return Tracer(settings, role)
