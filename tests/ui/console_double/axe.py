"""What axe finds to be serious on a page, in one theme or the other."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

CONTRAST: dict[str, object] = {"runOnly": ["color-contrast"]}
"""All that the other theme can change."""
_SERIOUS = {"serious", "critical"}
_FAULTS = {"resultTypes": ["violations"]}
"""Of what axe finds to be right it says no more than one example: pages have thousands."""
_RUN = "([part, options]) => axe.run(part || document, options)"


def serious(page: Page, options: dict[str, object] | None = None, part: str = "") -> list[str]:
    """Returns what axe finds on a page, or in a part of it; brings axe to a page once."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    violations = page.evaluate(_RUN, [part, _FAULTS | (options or {})])["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in violations
        if each["impact"] in _SERIOUS
        for node in each["nodes"]
    ]
