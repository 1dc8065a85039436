"""The REST side of a running site, as an integrator would use it."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from hesper_lab.site import Account

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One line of the export: identity, times in epoch seconds, raw integers by logical name."""

    meter: str
    profile: str
    captured_at: int
    stored_at_ms: int
    clock_status: int
    revision: int
    values: dict[str, int]


class Rest:
    """A client that is logged in as one account."""

    def __init__(self, url: str, account: Account) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=_TIMEOUT_S)
        credentials = {"username": account.username, "password": account.password}
        answer = self._client.post("/auth/login", json=credentials).raise_for_status().json()
        self._client.headers["Authorization"] = f"Bearer {answer['token']}"
        self._password = account.password

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON of a GET."""
        return self._client.get(path, params=parameters).raise_for_status().json()

    def export(self, since: int = 0) -> Iterator[StoredRow]:
        """Yield every stored reading that was captured at ``since`` (epoch seconds) or later."""
        start = datetime.fromtimestamp(since, UTC).isoformat()
        span = {"from": start, "to": "2100-01-01T00:00:00Z"}
        with self._client.stream("GET", "/readings/export", params=span) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line:
                    yield _row(json.loads(line))

    def request_relay(self, meter: str, action: str, reason: str) -> str:
        """Ask for a relay command; return its id."""
        body = {"meter": meter, "action": action, "reason": reason, "serial_tail": meter[-4:]}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post("/commands", json=body, headers=key).raise_for_status()
        return str(answer.json()["id"])

    def request(self, kind: str, meter: str, parameters: Mapping[str, Any], reason: str) -> str:
        """Ask for a command by its kind; return its id."""
        body = {"kind": kind, "meter": meter, "parameters": dict(parameters), "reason": reason}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post("/commands", json=body, headers=key).raise_for_status()
        return str(answer.json()["id"])

    def request_tunnel(self, meter: str, duration_s: int, reason: str) -> str:
        """Ask for a transparent tunnel; return the command's id."""
        body = {"meter": meter, "duration_s": duration_s, "reason": reason}
        body["serial_tail"] = meter[-4:]
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post("/tunnels", json=body, headers=key).raise_for_status()
        return str(answer.json()["id"])

    def approve(self, command: str) -> None:
        """Approve a command with this account's password."""
        body = {"password": self._password}
        self._client.post(f"/commands/{command}/approve", json=body).raise_for_status()

    def propose_batch(
        self, kind: str, meters: Sequence[str], reason: str, terms: Mapping[str, int]
    ) -> dict[str, Any]:
        """Propose a batch of one kind of command; return it as it was frozen."""
        body = {"kind": kind, "meters": list(meters), "reason": reason, **terms}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post("/batches", json=body, headers=key).raise_for_status()
        batch: dict[str, Any] = answer.json()
        return batch

    def approve_batch(self, batch: str, digest: str) -> None:
        """Approve a batch's hash with this account's password."""
        body = {"password": self._password, "digest": digest}
        self._client.post(f"/batches/{batch}/approve", json=body).raise_for_status()

    def bring_image(self, document: bytes, octets: bytes, image_hash: str) -> None:
        """Bring a signed manifest, and then the octets that it is about."""
        self._client.post("/firmware/images", content=document).raise_for_status()
        path = f"/firmware/images/{image_hash}"
        self._client.put(path, content=octets).raise_for_status()

    def propose_campaign(self, wish: Mapping[str, Any], activates: str = "") -> dict[str, Any]:
        """Propose a campaign, or what activates the image of one; return what was answered."""
        path = f"/firmware/campaigns/{activates}/activation" if activates else "/firmware/campaigns"
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post(path, json=dict(wish), headers=key).raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def decide_campaign(self, batch: Mapping[str, Any], verb: str) -> None:
        """Decide about a campaign or an activation, with this account's password."""
        body = {"password": self._password, "digest": batch["digest"]}
        path = f"/firmware/campaigns/{batch['id']}/{verb}"
        self._client.post(path, json=body).raise_for_status()

    def command_state(self, command: str) -> str:
        """Return the state of a command."""
        return str(self.get(f"/commands/{command}")["state"])


def _row(line: dict[str, Any]) -> StoredRow:
    return StoredRow(
        line["meter"],
        line["profile"],
        _epoch_ms(line["captured_at"]) // 1000,
        _epoch_ms(line["stored_at"]),
        line["clock_status"],
        line["revision"],
        {name: each["value"] for name, each in line["values"].items() if each["value"] is not None},
    )


def _epoch_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
