"""Labels on the Review page that cannot be saved yet, in a real Chromium: none is lost, and refused ones come back."""

from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_review_page import confirm, open_review, saved
from tests.support.console_server import ConsoleServer


def test_a_failed_save_says_so_keeps_the_work_and_survives_a_reload(open_page: Open, asked: ConsoleServer) -> None:
    asked.labels.failing = True
    page = open_review(open_page, troubled=True)
    page.keyboard.press("2")
    for _ in range(3):
        confirm(page)
    expect(page.locator(".trouble")).to_contain_text("3 labels are not saved yet.")
    expect(page.locator(".trouble")).to_contain_text("Kafka is away")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator(".trouble")).to_contain_text("3 labels are not saved yet.")
    asked.labels.failing = False
    page.get_by_role("button", name="Try now").click()
    saved(asked, page, 3)
    expect(page.locator(".trouble")).to_be_hidden()
    assert len({said.frame for said in asked.labels.said}) == 3


def test_labels_are_sent_on_while_another_page_is_looked_at(open_page: Open, asked: ConsoleServer) -> None:
    asked.labels.failing = True
    page = open_review(open_page, troubled=True)
    confirm(page)
    expect(page.locator(".trouble")).to_contain_text("1 label is not saved yet.")
    page.get_by_role("link", name="System").click()
    expect(page).to_have_title("System · Maskwatch")
    with page.expect_event("dialog") as asks:
        page.close(run_before_unload=True)
    assert asks.value.type == "beforeunload"
    asks.value.dismiss()
    asked.labels.failing = False
    page.wait_for_function("() => localStorage.getItem('maskwatch.outbox') === '[]'")
    assert [said.frame for said in asked.labels.said] == ["door-2:s1:1"]


def test_a_label_that_is_refused_comes_back_to_the_desk(open_page: Open, asked: ConsoleServer) -> None:
    asked.labels.refusal = "Faces 1 and 2 are one face, marked twice."
    page = open_review(open_page, troubled=True)
    page.keyboard.press("1")
    confirm(page)
    expect(page.locator(".trouble")).to_contain_text("A label was not taken. Faces 1 and 2 are one face")
    # Nobody has looked at it yet: it is still there in a later visit, with what was said.
    page.reload()
    expect(page.locator(".trouble")).to_contain_text("A label was not taken. Faces 1 and 2 are one face")
    page.get_by_role("button", name="Show that frame").click()
    expect(page.locator(".trouble")).to_be_hidden()
    expect(page.get_by_role("option")).to_have_count(3)
    page.locator(".desk").focus()
    confirm(page)
    saved(asked, page, 1)
    assert asked.labels.said[0].frame == "door-2:s1:1"
    assert [face.label for face in asked.labels.said[0].faces] == ["with_mask", "without_mask", "with_mask"]
