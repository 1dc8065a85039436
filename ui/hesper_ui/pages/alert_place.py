"""Where an alert is, as lists and its own page show it."""

from hesper_ui.elements import Text, link
from hesper_ui.services import AlertRow


def where(row: AlertRow) -> None:
    """Draws where an alert is: a meter, a gateway, or a part of the grid."""
    if row.meter:
        link(row.meter, f"/meters/{row.meter}")
    elif row.gateway:
        link(row.gateway, f"/gateways/{row.gateway}")
    else:
        Text(row.element or row.area or "–")
