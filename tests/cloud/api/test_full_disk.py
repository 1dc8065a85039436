"""While the registry's disk is full REST says so, and goes on when there is room."""

from typing import Any

import httpx
from full_disk import room_for


def ask(operator: httpx.Client, key: str) -> httpx.Response:
    body = {"kind": "ping", "meter": "HES12642984", "reason": "is it there?"}
    return operator.post("/commands", json=body, headers={"Idempotency-Key": key})


def test_a_key_that_cannot_be_claimed_is_no_mistake_of_ours_and_is_free_later(
    house: Any, operator: httpx.Client
) -> None:
    (grows,) = house.head_end.settings.state.glob("hesper.db-wal")
    with room_for(grows.stat().st_size):
        refused = ask(operator, "on a full disk")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert ask(operator, "on a full disk").status_code == 201


def log_in(house: Any) -> httpx.Response:
    body = {"username": "vic", "password": "viewing-only-1"}
    return httpx.post(f"{house.url}/api/v1/auth/login", json=body, timeout=60)


def test_a_login_that_cannot_be_kept_is_no_mistake_of_ours_and_counts_later(house: Any) -> None:
    assert log_in(house).status_code == 200
    (grows,) = house.head_end.settings.state.glob("hesper.db-wal")
    with room_for(grows.stat().st_size):
        refused = log_in(house)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "takes nothing" in refused.json()["detail"]
    assert log_in(house).status_code == 200
