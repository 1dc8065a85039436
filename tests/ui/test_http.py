"""What stands before the pages: sign-in, cookies, origins, headers, and the grid's JSON."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from console_double.services import PASSWORD, DoubleServices
from fastapi import FastAPI
from hesper_ui import endpoints, login
from hesper_ui.assets import Assets
from hesper_ui.guard import Doors, Guard
from hesper_ui.selections import Selections

BASE = "http://hesper.test"


async def ended(_token: str) -> str:
    return "Nobody is signed in."


async def never(_token: str) -> bool:
    return False


@pytest.fixture
def app(services: DoubleServices) -> FastAPI:
    """The console without NiceGUI's part, which cannot be mounted twice in one process."""
    app, assets = FastAPI(), Assets()
    assets.serve(app)
    app.include_router(login.router(services, assets))
    app.include_router(endpoints.router(services, Selections()))
    app.add_middleware(Guard, doors=Doors(never, ended))
    return app


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


async def sign_in(
    browser: httpx.AsyncClient, name: str = "operator", **more: str
) -> httpx.Response:
    return await browser.post("/login", data={"username": name, "password": PASSWORD, **more})


async def test_a_session_cookie_is_opaque_and_out_of_reach_of_scripts(browser):
    answer = await sign_in(browser)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "operator" not in cookie


async def test_a_wrong_password_is_said_and_the_name_kept_as_text(browser):
    name = '"><script>alert(1)</script>'
    answer = await browser.post("/login", data={"username": name, "password": "no"})
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [{"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_nobody_is_signed_in_by_a_form_of_another_site(browser, services, sent):
    form = {"username": "operator", "password": PASSWORD}
    answer = await browser.post("/login", data=form, headers=sent)
    assert (answer.status_code, services.signed_in) == (403, {})
    assert "set-cookie" not in answer.headers
    own = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/login", data=form, headers=own)).status_code == 303


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/meters/HES1?view=silent", "/meters/HES1?view=silent"),
        ("https://evil.test/", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/a\r\nb", "/"),
    ],
)
async def test_after_sign_in_only_our_own_pages_follow(browser, target, kept):
    answer = await sign_in(browser, next=target)
    assert answer.headers["location"] == kept


async def test_signing_out_ends_the_session_everywhere(browser, services):
    await sign_in(browser)
    assert (await browser.get("/console/session")).json()["role"] == "operator"
    await browser.post("/logout")
    assert services.signed_in == {}
    assert (await browser.get("/console/session")).json() == {"signed_in": False}


async def test_a_form_larger_than_a_form_is_refused(browser):
    answer = await browser.post("/login", data={"username": "x" * 10_000, "password": "y"})
    assert answer.status_code == 401
    answer = await browser.post("/login", data={f"field{number}": "x" for number in range(11)})
    assert answer.status_code == 401


async def test_the_grid_pages_sorts_and_searches_on_the_server(browser):
    await sign_in(browser)
    page = (await browser.get("/console/meters?limit=10&offset=5&descending=true")).json()
    assert (len(page["rows"]), page["total"]) == (10, 60)
    ids = [row["id"] for row in page["rows"]]
    assert ids == sorted(ids, reverse=True)
    found = (await browser.get(f"/console/meters?q={ids[0].lower()}")).json()
    assert [row["id"] for row in found["rows"]] == [ids[0]]
    silent = (await browser.get("/console/meters?view=silent")).json()
    assert {row["state"]["word"] for row in silent["rows"]} == {"silent"}


async def test_nobody_is_called_online_while_the_broker_is_lost(app, browser, services):
    app.state.hesper_places = ()
    await sign_in(browser)
    services.broker_lost_since = datetime.now(UTC)
    rows = (await browser.get("/console/meters")).json()["rows"]
    assert {row["state"]["word"] for row in rows} == {"online, stale", "silent", "discovered"}
    assert not any(row["state"]["mark"] == "normal" for row in rows)
    listed = (await browser.get("/console/map?box=-90,-180,90,180")).json()["listed"]
    assert "online, stale" in {row["word"] for row in listed}
    assert not any((row["mark"], row["word"]) == ("normal", "online") for row in listed)
    online = next(row["id"] for row in rows if row["state"]["word"] == "online, stale")
    found = (await browser.get(f"/console/search?q={online}")).json()["found"]
    assert found[0]["note"].startswith("online, stale")


async def test_the_grid_asks_for_a_session_and_for_sense(browser):
    assert (await browser.get("/console/meters")).status_code == 401
    await sign_in(browser)
    assert (await browser.get("/console/meters?view=nonsense")).status_code == 422


async def test_the_grid_says_when_the_store_is_away(browser, services):
    await sign_in(browser)
    services.down = True
    answer = await browser.get("/console/meters")
    assert answer.status_code == 503
    assert "store" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"ids": ["\\ud83d"]}', b'{"ids": []}', b"{}{}", b"\xff"]
)
async def test_a_selection_that_is_no_json_is_refused(browser, body):
    await sign_in(browser)
    answer = await browser.post("/console/selections", content=body)
    assert answer.status_code == 422, answer.text


async def test_foreign_pages_can_change_nothing(browser):
    answer = await browser.post(
        "/login",
        data={"username": "operator", "password": PASSWORD},
        headers={"Origin": "https://evil.test"},
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "origin", "reached"),
    [
        ("/api/v1/live", BASE, True),
        ("/api/v1/live", None, True),
        ("/api/v1/live", "https://proxy.test", True),
        ("/api/v1/live", "https://evil.test", False),
        ("/_nicegui_ws/socket.io/", BASE, False),  # nobody is signed in
    ],
)
async def test_foreign_pages_and_strangers_open_no_socket(path, origin, reached):
    asked, sent = [], []

    async def inner(scope, receive, send):
        asked.append(scope["path"])

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"hesper.test")]
    if origin:
        headers.append((b"origin", origin.encode()))
    scope = {"type": "websocket", "scheme": "ws", "path": path, "headers": headers}
    await Guard(inner, Doors(never, ended, ["https://proxy.test"]))(scope, receive, send)
    assert bool(asked) is reached
    assert [message["code"] for message in sent] == ([] if reached else [1008])


async def test_pages_forbid_everything_that_is_not_ours(browser):
    answer = await browser.get("/login")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text)


async def test_our_files_are_kept_by_browsers_under_their_digest(browser):
    page = await browser.get("/login")
    stylesheet = re.search(r'href="([^"]+console\.css)"', page.text)
    assert stylesheet is not None
    answer = await browser.get(stylesheet[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert "http" not in re.sub(r"/\*.*?\*/", "", answer.text, flags=re.DOTALL)


async def test_who_has_a_second_factor_is_asked_for_its_code(browser, services):
    assert 'name="code"' not in (await browser.get("/login")).text
    asked = await sign_in(browser, "coded")
    assert asked.status_code == 401
    assert 'name="code"' in asked.text
    assert 'value="coded"' in asked.text
    assert "code of your second factor" in asked.text.lower()


async def test_why_a_log_in_elsewhere_failed_is_said_as_text_and_no_link_says_it(browser):
    browser.cookies.set("hesper_why", "%3Cb%3Enobody%3C/b%3E%20knows%20you")
    answer = await browser.get("/login", params={"why": "call 555"})
    assert "555" not in answer.text
    assert "&lt;b&gt;nobody&lt;/b&gt; knows you" in answer.text.lower()
    assert "/login/oidc" not in answer.text


async def test_why_a_log_in_elsewhere_failed_is_said_in_the_language_of_the_page(browser):
    browser.cookies.set("hesper_why", quote("this is nobody whom the configured provider knows"))
    answer = await browser.get("/login", headers={"accept-language": "de"})
    assert "Das ist niemand, den der eingestellte Anbieter kennt." in answer.text
