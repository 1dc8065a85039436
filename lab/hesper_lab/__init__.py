"""Runs the whole: demo, acceptance run, benchmarks. The only part that may import all others."""

if __name__ != "hesper_lab":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_lab, not {__name__}")
