"""The access rules for EMQX grant what those for Mosquitto grant, no more and no less."""

import re
from pathlib import Path

RULE = re.compile(r'^\{allow, \{username, (?:"([^"]+)"|\{re, "[^"]+"\})\}, (\w+), \[(.+)\]\}\.$')
WORDS = {"read": "subscribe", "write": "publish"}
EVERY_GATEWAY = "every gateway"
Grants = set[tuple[str, str, str]]


def of_mosquitto(text: str) -> Grants:
    found, account = set(), EVERY_GATEWAY
    for line in text.splitlines():
        match line.split():
            case ["user", name]:
                account = name
            case ["pattern", way, topic]:
                found.add((EVERY_GATEWAY, WORDS[way], topic.replace("%u", "${username}")))
            case ["topic", way, topic]:
                found.add((account, WORDS[way], topic))
    return found


def of_emqx(text: str) -> tuple[Grants, list[str]]:
    """What the rules allow, in order, and the lines that are no such rule."""
    found, others = set(), []
    for line in text.splitlines():
        if rule := RULE.match(line):
            account, action, topics = rule.groups()
            for topic in re.findall(r'"([^"]+)"', topics):
                found.add((account or EVERY_GATEWAY, action, topic))
        elif line and not line.startswith("%%"):
            others.append(line)
    return found, others


def test_both_brokers_grant_the_same(root: Path) -> None:
    granted, others = of_emqx((root / "deploy/emqx/acl.conf").read_text())
    assert granted == of_mosquitto((root / "mosquitto/acl").read_text())
    assert others == ["{deny, all}."]  # the last word, and the only other


def test_gateways_come_by_certificate_alone(root: Path) -> None:
    text = (root / "deploy/emqx/emqx.conf").read_text()
    for said in (
        "peer_cert_as_username = cn", "peer_cert_as_clientid = cn", "verify = verify_peer",
        "fail_if_no_peer_cert = true", "enable_crl_check = true", "no_match = deny",
    ):  # fmt: skip
        assert said in text
    assert text.count("{") == text.count("}")
