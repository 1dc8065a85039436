"""Logs, errors and traces: how the processes tell what they do, and where it goes."""
