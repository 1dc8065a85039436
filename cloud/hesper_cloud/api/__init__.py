"""The HTTP side: REST under ``/api/v1``, a WebSocket of live frames, ``/health``, ``/metrics``."""
