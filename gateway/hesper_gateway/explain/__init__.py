"""Frames and APDUs explained: what they say, field by field, secrets left out."""

from hesper_gateway.explain.frames import Explainer, to_json, to_lines

__all__ = ["Explainer", "to_json", "to_lines"]
