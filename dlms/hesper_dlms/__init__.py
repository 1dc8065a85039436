"""DLMS/COSEM without IO: framing, APDUs, A-XDR, security, client and server state machines."""
