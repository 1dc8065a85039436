"""How a cause that needs a person is put into words, and where it leads."""

from hesper_ui.services import AttentionRow
from hesper_ui.views.looks import command_kind
from hesper_ui.views.rule_words import kind_of
from hesper_ui.views.wording import capital, plural, retold
from hesper_ui.words import say

_OF_BATCHES = frozenset({"batch-approval", "batch-held"})


def cause(rule: str) -> str:
    """Returns the name of a rule as a person would write it; a storm has that of its rule."""
    known = kind_of(rule)
    if known is not None:
        return say(known)
    words = rule.replace("_", " ").replace("-", " ").replace(".", ": ")
    return say(words[:1].upper() + words[1:])


def title(row: AttentionRow) -> str:
    """Returns the headline: the text of a single case, a count of several."""
    if row.cause == "approval":
        return plural(row.count, "command awaits approval", "commands await approval")
    if row.cause == "batch-approval":
        return plural(row.count, "batch awaits approval", "batches await approval")
    if row.cause == "batch-held":
        return plural(row.count, "batch waits for a person", "batches wait for a person")
    if row.cause == "never-heard":
        return plural(row.count, "meter was never heard from", "meters were never heard from")
    if row.cause == "never-read" and row.count > 1:
        return plural(row.count, "meter could not be read yet", "meters could not be read yet")
    if row.cause == "gateway-offline":
        return plural(row.count, "gateway is offline", "gateways are offline")
    if row.count == 1:
        return capital(retold(row.text))
    return f"{cause(row.cause)}: {plural(row.count, 'case')}"


def subjects(row: AttentionRow) -> str:
    """Names the first few meters or gateways concerned; of batches what they do."""
    named = ", ".join(_subject(row, each) for each in row.subjects[:3] if each)
    rest = row.count - min(3, len(row.subjects))
    if named and rest > 0:
        return say("{named} and {rest} more", named=named, rest=rest)
    return named or plural(row.count, "case")


def _subject(row: AttentionRow, name: str) -> str:
    return command_kind(name) if row.cause in _OF_BATCHES else name


def target(row: AttentionRow) -> str:
    """Returns the page where one can act."""
    if row.cause == "approval":
        return "/commands"
    if row.cause in _OF_BATCHES:
        return "/batches"
    if row.cause == "never-heard":
        return "/meters?view=silent"
    if row.cause == "never-read":
        return "/events?code=meter.unreachable"
    if row.cause.startswith("gateway"):
        return "/gateways"
    alone = row.count == 1 and row.subjects and row.subjects[0]
    return f"/meters/{row.subjects[0]}" if alone else f"/alerts?severity={row.severity}"
