"""Captured pushes of real meters with dummy identities, as data; see README.md beside them."""
