"""Runs the whole: demo, acceptance run, benchmarks. The only part that may import all others."""
