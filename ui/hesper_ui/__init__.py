"""The operator console."""

from hesper_ui import spare_clients

if __name__ != "hesper_ui":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_ui, not {__name__}")
spare_clients.load()
