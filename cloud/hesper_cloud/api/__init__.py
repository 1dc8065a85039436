"""The HTTP side: REST under ``/api/v1``, a WebSocket of live frames, ``/health``, ``/metrics``."""

from hesper_cloud.api import later_fields

later_fields.install()
