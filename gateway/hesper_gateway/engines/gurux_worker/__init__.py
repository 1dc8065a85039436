"""The program that runs gurux_dlms: ``python -m hesper_gateway.engines.gurux_worker``.

gurux_dlms is GPL-2.0-only and no boundary of security, so only this program imports it, and it
imports nothing else of ours than the form of the messages (see `hesper_gateway.engines.pipe`).
"""
