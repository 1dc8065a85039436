"""DLMS/COSEM without IO: framing, APDUs, A-XDR, security, client and server state machines."""

if __name__ != "hesper_dlms":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_dlms, not {__name__}")
