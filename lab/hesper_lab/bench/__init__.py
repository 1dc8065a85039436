"""Benchmarks: what is measured beside which peer. Each module has `run() -> list[Row]`."""
