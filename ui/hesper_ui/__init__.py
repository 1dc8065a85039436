"""The operator console."""

if __name__ != "hesper_ui":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_ui, not {__name__}")
