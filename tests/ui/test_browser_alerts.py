"""Alerts by keyboard, in a real browser."""

import pytest
from hesper_lab.screenshots import settle
from playwright.sync_api import expect

pytestmark = pytest.mark.integration


def test_a_list_of_alerts_is_worked_by_keys_alone(page, server):
    page.goto(f"{server.base}/alerts?state=new")
    settle(page)
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_role("checkbox").first).to_be_checked()
    page.keyboard.press("s")
    shelving = page.get_by_role("dialog", name="Shelve this alert?")
    expect(shelving).to_be_visible()
    shelving.get_by_label("Reason (required)").fill("crew at work")
    shelving.get_by_role("button", name="Shelve").click()
    expect(shelving).to_have_count(0)
    page.goto(f"{server.base}/alerts?state=shelved")
    settle(page)
    expect(page.get_by_text("shelved by operator: crew at work")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
