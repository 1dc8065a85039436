"""How a cause that needs a person is put into words, and where it leads."""

from hesper_ui.services import AttentionRow
from hesper_ui.views.rule_words import BUILT_IN
from hesper_ui.views.wording import capital, plural
from hesper_ui.words import say


def cause(rule: str) -> str:
    """Returns the name of a rule as a person would write it; a storm has that of its rule."""
    of = rule.removeprefix("storm/")
    if of in BUILT_IN:
        return say(BUILT_IN[of][0])
    words = rule.replace("_", " ").replace("-", " ").replace(".", ": ")
    return say(words[:1].upper() + words[1:])


def title(row: AttentionRow) -> str:
    """Returns the headline: the text of a single case, a count of several."""
    if row.cause == "approval":
        return plural(row.count, "command awaits approval", "commands await approval")
    if row.cause == "never-heard":
        return plural(row.count, "meter was never heard from", "meters were never heard from")
    if row.cause == "gateway-offline":
        return plural(row.count, "gateway is offline", "gateways are offline")
    return (
        capital(row.text) if row.count == 1 else f"{cause(row.cause)}: {plural(row.count, 'case')}"
    )


def subjects(row: AttentionRow) -> str:
    """Names the first few meters or gateways concerned."""
    named = ", ".join(subject for subject in row.subjects[:3] if subject)
    rest = row.count - min(3, len(row.subjects))
    if named and rest > 0:
        return say("{named} and {rest} more", named=named, rest=rest)
    return named or plural(row.count, "case")


def target(row: AttentionRow) -> str:
    """Returns the page where one can act."""
    if row.cause == "approval":
        return "/commands"
    if row.cause == "never-heard":
        return "/meters?view=silent"
    if row.cause.startswith("gateway"):
        return "/gateways"
    alone = row.count == 1 and row.subjects and row.subjects[0]
    return f"/meters/{row.subjects[0]}" if alone else f"/alerts?severity={row.severity}"
