"""Simulated meters: a DLMS server fleet with a load and grid model, and faults on request.

    fleet.toml -> fleet (plan) -> district: meters over shared load curves and feeders
                                     |  journal: fsynced before anything can be seen
                                     v
    tcp, serial_line <-  served (hesper_dlms.server) <- cosem: objects, registers, profiles
    replay: captured pushes of real meters on pseudo-terminals
    control: faults and questions while it runs

Nothing here knows gateways or the cloud; the fleet is met over its links alone, as in the field.
"""

if __name__ != "hesper_sim":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_sim, not {__name__}")
