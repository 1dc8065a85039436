"""Rules that are code, in words."""

from hesper_ui.services import RuleRow
from hesper_ui.words import later, say

BUILT_IN = {
    "silent-meter": (
        later("Meter silent"),
        later("Nothing came from a meter for some capture periods, while its gateway was there."),
    ),
    "gateway-offline": (later("Gateway offline"), later("A gateway's connection is gone.")),
    "gateway-disk-full": (
        later("Disk of a gateway full"),
        later("A gateway has no room to store what it reads."),
    ),
    "gateway-disk-failing": (
        later("Disk of a gateway fails"),
        later("The disk of a gateway is read-only or broken: it stores nothing."),
    ),
    "gateway-clock-off": (
        later("Clock of a gateway wrong"),
        later("A gateway's clock is a minute or more off the authority's signed time."),
    ),
    "voltage": (
        later("Voltage outside its band"),
        later("A phase is outside the nominal voltage and its tolerance (EN 50160, 4.2.2)."),
    ),
    "tamper": (
        later("Tamper"),
        later(
            "A meter tells that a cover was opened, of a magnetic field, or of false credentials."
        ),
    ),
    "reverse-energy": (
        later("Energy runs backwards"),
        later("Export grows where nobody feeds in, or the import register runs backwards."),
    ),
    "reconnected-without-command": (
        later("Reconnected without a command"),
        later(
            "A supply that was cut is found connected without a command or a press of the button."
        ),
    ),
    "use-on-inactive-account": (
        later("Use on an inactive account"),
        later("The register grows though the account is inactive or the meter is not in service."),
    ),
    "outage": (
        later("Outage"),
        later("Meters that lost power together, with the extent."),
    ),
    "certificate-renewal": (
        later("Certificate late"),
        later("A gateway does not renew its own."),
    ),
    "certificate-ends": (later("Certificate ends"), later("One that people renew ends soon.")),
    "certificate-ended": (later("Certificate over"), later("One was not renewed.")),
    "batch-digest": (later("Batch contradicts itself"), later("Damage or forgery.")),
    "store-damaged": (later("Store damaged"), later("Readings of some days are lost.")),
    "store-away": (later("Store away"), later("The store of readings takes nothing.")),
    "broker-lost": (later("Broker lost"), later("The head end does not reach its broker.")),
    "consumer-lost": (
        later("Consumer lost"),
        later("One of several consumers does not run, or does not reach broker or registry."),
    ),
}
"""Title and words of the rules that are code, as they are said here."""
OTHERS = {
    "alert-flood": later("Flood of alerts"),
    "archive": later("Readings not archived"),
    "archive-erasure": later("Readings not erased in the archive"),
    "backup-gone": later("Backups gone"),
    "backup-age": later("No recent backup"),
    "backup-rehearsal": later("Backup not restorable"),
    "batch": later("Batch stopped"),
    "break-glass": later("Emergency without a second person"),
    "break-glass-unreviewed": later("Emergency not reviewed"),
    "broker-passwords": later("Accounts of the broker"),
    "delivery-failing": later("Alerts not delivered"),
    "disconnect-rate": later("Many disconnects asked for"),
    "export": later("Export fails"),
    "revocation-list": later("List of withdrawn certificates"),
    "sim-data-limit": later("SIM card beyond its limit"),
    "sim-data-near": later("SIM card near its limit"),
}
"""What alerts are about that no rule in the list raises, by the beginning of their kind."""
STORMY = (
    later("Area"),
    later("Feeder"),
    later("Gateway"),
    later("Transformer"),
    later("gateways"),
    later("meters"),
    later("silent meter"),
    later("gateway clock off"),
    later("gateway disk failing"),
    later("gateway disk full"),
    later("gateway offline"),
    later("voltage"),
    later("reverse energy"),
)
"""Words in the text of an alert that stands for many."""


def kind_of(rule: str) -> str | None:
    """Returns what alerts of a kind are about, in English; None of a rule that people made."""
    name = rule.removeprefix("storm/").partition("/")[0]
    if name in BUILT_IN:
        return BUILT_IN[name][0]
    return OTHERS.get("export" if name.startswith("export-") else name)


def title_of(row: RuleRow) -> str:
    """Returns a rule's title; that of a built-in one in the operator's language."""
    known = BUILT_IN.get(row.id) if row.built_in else None
    return row.title if known is None else say(known[0])


def words_of(row: RuleRow) -> str:
    """Returns what a built-in rule does, in words; of others the form says it."""
    known = BUILT_IN.get(row.id) if row.built_in else None
    return "" if known is None else say(known[1])
