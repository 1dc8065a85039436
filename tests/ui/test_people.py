"""Users and roles, and one's own account, in NiceGUI's user simulation."""

import re
from collections.abc import Iterator

import pytest
from console_double.acting import FIRST_CODE
from console_double.members import FIRST, SECRET
from console_double.people import Console, disabled, press, texts, unbroken, until
from console_double.services import PASSWORD
from hesper_ui.views import qr
from nicegui import ui
from nicegui.testing import User

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def no_handler_raises() -> Iterator[None]:
    with unbroken():
        yield


def field(user: User, marker: str) -> ui.input:
    return next(iter(user.find(marker=marker).elements))


async def test_an_admin_adds_a_person_of_one_area_and_sees_the_password_once(console: Console):
    async with console.person("admin") as user:
        await user.open("/users")
        await user.should_see("Add an account…", retries=20)
        await press(user, "Add an account…")
        field(user, "person-name").value = "nora"
        field(user, "person-role").value = "operator"
        field(user, "person-areas").value = "north, harbour, north"
        field(user, "approval-password").value = PASSWORD
        await press(user, "Add")
        await user.should_see(FIRST, retries=20)
        made = console.services.members.rows["nora"]
        assert (made.role, made.areas) == ("operator", ("north", "harbour"))
        await user.should_see("north, harbour", retries=20)


async def test_disabling_closes_what_is_open_and_needs_the_password(console: Console):
    async with console.person("vera") as vera, console.person("admin") as user:
        await user.open("/users")
        await user.should_see(marker="disable-vera", retries=20)
        user.find(marker="disable-vera").click()
        await user.should_see("Disable vera?", retries=20)
        field(user, "approval-password").value = "not the password"
        await press(user, "Disable")
        await user.should_see("The password or the code is not right.", retries=20)
        assert not console.services.members.rows["vera"].disabled
        field(user, "approval-password").value = PASSWORD
        await press(user, "Disable")
        await user.should_see("disabled", retries=20)
        assert console.services.members.rows["vera"].disabled
        answer = await vera.http_client.get("/console/session")
        assert answer.json() == {"signed_in": False}


async def test_a_new_password_is_typed_twice_before_all_sessions_end_by_it(console: Console):
    async with console.person("vera") as vera:
        await vera.open("/profile")
        await vera.should_see("Change password…", retries=20)
        await press(vera, "Change password…")
        await vera.should_see("Change your password?", retries=20)
        field(vera, "new-password").value = "a long new password"
        field(vera, "new-password-again").value = "a long new pasword"
        field(vera, "approval-password").value = PASSWORD
        await vera.should_see("The two new passwords differ.", retries=20)
        assert disabled(vera, "Change")
        field(vera, "new-password-again").value = "a long new password"
        await press(vera, "Change")
        await until(lambda: "vera" not in {a.username for a in console.services.signed_in.values()})


async def test_who_keeps_no_accounts_is_shown_none(console: Console):
    async with console.person("operator") as user:
        await user.open("/users")
        await user.should_see("Not open to your role", retries=20)


async def test_a_factor_is_set_up_by_a_drawing_that_leaves_the_page_to_nobody(console: Console):
    async with console.person("operator") as user:
        await user.open("/profile")
        await user.should_see("Set up a second factor…", retries=20)
        await press(user, "Set up a second factor…")
        await user.should_see("Scan this with an authenticator", retries=20)
        drawn = [each.content for each in user.find(kind=ui.html).elements]
        (code,) = [each for each in drawn if "data-qr" in each]
        assert "http" not in code.replace("http://www.w3.org/2000/svg", "")
        field(user, "first-code").value = FIRST_CODE
        field(user, "approval-password").value = PASSWORD
        await press(user, "Set up")
        await user.should_see("From now on you give a code", retries=20)
        assert console.services.members.rows["operator"].factor_since is not None


async def test_a_token_is_made_shown_once_and_revoked(console: Console):
    async with console.person("operator") as user:
        await user.open("/profile")
        await user.should_see("Make a token…", retries=20)
        await press(user, "Make a token…")
        field(user, "token-name").value = "for the MDM"
        field(user, "approval-password").value = PASSWORD
        await press(user, "Make")
        await user.should_see(SECRET, retries=20)
        (row,) = console.services.api_tokens.rows
        assert (row.username, row.scopes) == ("operator", ("read",))
        await press(user, "Revoke")
        await user.should_see("No token", retries=20)
        assert "this one" in texts(user)


async def test_a_drawing_holds_the_squares_that_a_scanner_looks_for():
    """Three corners of seven modules each, with four modules of quiet around (ISO 18004, 6.3.3)."""
    drawn = qr.svg("otpauth://totp/Hesper:ann?secret=JBSWY3DPEHPK3PXP&issuer=Hesper")
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn)}
    side = int(re.search(r'viewBox="0 0 (\d+)', drawn).group(1))
    for left, top in ((4, 4), (side - 11, 4), (4, side - 11)):
        ring = {(left + i, top) for i in range(7)} | {(left, top + i) for i in range(7)}
        heart = {(left + i, top + j) for i in (2, 3, 4) for j in (2, 3, 4)}
        assert ring | heart <= dark
    assert all(4 <= x < side - 4 and 4 <= y < side - 4 for x, y in dark)
