"""A real browser brings 10 000 meters with mistakes in them and applies the good ones."""

import csv

import pytest
from hesper_lab import screenshots
from hesper_lab.bench.imports_files import meter_file

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]

ROWS = 10_000
PATIENCE_MS = 120_000


def test_ten_thousand_meters_with_mistakes_are_imported(page, server, seen, tmp_path):
    file = meter_file(ROWS)
    page.goto(f"{server.base}/import")
    page.locator("select[name=kind]").select_option("meters")
    chosen = {"name": "meters of June.csv", "mimeType": "text/csv", "buffer": file.octets}
    page.get_by_label("File (CSV)").set_input_files(chosen)
    page.get_by_role("button", name="Try the file").click()
    page.wait_for_url("**/import/*", timeout=PATIENCE_MS)
    apply = page.get_by_role("button", name="Apply ")
    apply.wait_for(timeout=PATIENCE_MS)
    assert f"{file.mistaken} with mistakes" in page.inner_text("#content")
    assert "unknown gateway" in page.inner_text("#content")
    with page.expect_download() as download:
        page.get_by_text("All rejected rows as CSV").click()
    path = tmp_path / "rejected.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as rows:
        found = list(csv.reader(rows))
    assert len(found) == file.mistaken + 1
    assert found[0][-1] == "reason"
    assert "'=HYPERLINK(A1)" in {cell for row in found for cell in row}
    apply.click()
    page.get_by_text("You may leave this page").wait_for(timeout=PATIENCE_MS)
    page.goto(f"{server.base}/jobs")
    page.get_by_text(" of ").first.wait_for(timeout=PATIENCE_MS)
    page.go_back()
    page.get_by_text("entered, 0 refused").wait_for(timeout=PATIENCE_MS)
    assert seen.external_requests == []
    assert seen.console_errors == []


def test_a_file_that_is_no_sheet_says_so_on_the_spot(page, server):
    page.goto(f"{server.base}/import")
    page.locator("select[name=kind]").select_option("customers")
    chosen = {"name": "x.csv", "mimeType": "text/csv", "buffer": b"one,two\n1,2\n"}
    page.get_by_label("File (CSV)").set_input_files(chosen)
    page.get_by_role("button", name="Try the file").click()
    page.get_by_text("the first row names the columns").wait_for(timeout=PATIENCE_MS)
