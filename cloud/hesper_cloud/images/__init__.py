"""Firmware images at the head end: kept by their SHA-256, handed out block by block."""
