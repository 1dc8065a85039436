"""Who looked at which household's interval data, by which door."""

from hesper_cloud.access_log.keeping import AccessLogKeeping
from hesper_cloud.access_log.looks import Look, Looks, LooksFull

__all__ = ["AccessLogKeeping", "Look", "Looks", "LooksFull"]
