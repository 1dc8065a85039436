"""Which meters answer on a line: asked as the public client, and nothing is written."""

from hesper_gateway.discovery.places import Place, Wanted
from hesper_gateway.discovery.search import Found, Search

__all__ = ["Found", "Place", "Search", "Wanted"]
