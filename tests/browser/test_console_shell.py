"""The console's shell in a real Chromium: addresses, keys, themes, one camera's tools, and how it is made."""

import re
from pathlib import Path
from typing import Literal

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open
from tests.support import judged
from tests.support.console_page import LAPTOP, PHONE, canvas, tile, wait_for_frames, wall
from tests.support.console_server import CONSOLE, LABELS, ConsoleServer, Picture

AXE = Path(__file__).parents[1] / "support" / "vendor" / "axe-core" / "axe.min.js"
BUDGET = 300_000
"""Bytes of script and style together."""

# Addresses and keys


def test_addresses_are_real_and_the_back_button_works(
    open_page: Open, server: ConsoleServer, pictures: list[Picture]
) -> None:
    server.scripts = wall(pictures, 3)
    page = open_page()
    page.evaluate("window.same = true")
    page.get_by_role("link", name="Open Camera 2").click()
    expect(page).to_have_url(f"{server.url}/live/cam-2")
    expect(page).to_have_title("Camera 2 · Live · Maskwatch")
    expect(page.locator("article:visible")).to_have_count(1)
    expect(page.locator("h1")).to_be_focused()
    wait_for_frames(page, 2, "cam-2")
    page.go_back()
    expect(page).to_have_title("Live · Maskwatch")
    expect(page.locator("article:visible")).to_have_count(3)
    expect(page.get_by_role("link", name="Open Camera 2")).to_be_focused()
    page.go_forward()
    expect(page.locator("article:visible")).to_have_count(1)
    assert page.evaluate("window.same"), "the page was loaded anew"
    page.goto(f"{server.url}/live/cam-3")
    wait_for_frames(page, 1, "cam-3")


def test_an_unknown_camera_and_an_unknown_page_lead_back(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/live/nowhere", troubled=True)
    expect(page.get_by_role("heading", name="There is no camera «nowhere»")).to_be_visible()
    page.get_by_role("link", name="All cameras").click()
    wait_for_frames(page)
    page.goto(f"{server.url}/no/such/page")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="Go to Live").click()
    wait_for_frames(page)
    # Badly encoded, and no worse than any other name that nobody has.
    for path, heading in (("drift", "There is no such episode"), ("models", "There is no such version")):
        page.goto(f"{server.url}/{path}/%E0%A4%A")
        expect(page.get_by_role("heading", name=heading)).to_be_visible()


def test_every_page_names_the_model_in_service_and_follows_a_swap(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/live")
    serves, own = page.locator(".model-in-service"), server.models.own
    assert own is not None
    for name in ("Live", "Review", "Drift", "Models", "System"):
        page.locator(".rail").get_by_role("link", name=name, exact=True).click()
        expect(page).to_have_title(f"{name} · Maskwatch")
        expect(serves).to_have_text(f"{own.name} {own.version}")
    server.models.tell(judged.champion("3"))
    expect(serves).to_have_text("yolov8n-facemask 3")
    expect(serves).to_have_attribute("title", re.compile(judged.model("3").sha256))


def test_the_keyboard_alone_does_everything(open_page: Open, server: ConsoleServer, pictures: list[Picture]) -> None:
    server.scripts = wall(pictures, 3)
    page = open_page()
    expect(page.locator("article")).to_have_count(3)
    page.keyboard.press("2")
    expect(page).to_have_url(f"{server.url}/live/cam-2")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{server.url}/live/cam-3")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{server.url}/live/cam-1")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(f"{server.url}/live/cam-3")
    page.keyboard.press("d")
    expect(page.get_by_role("complementary", name="What is seen")).to_be_hidden()
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{server.url}/live")
    page.keyboard.press("h")
    expect(page.get_by_role("navigation")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation")).to_be_visible()
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement !== null")
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")


def test_tab_reaches_the_content_and_the_cameras(open_page: Open) -> None:
    page = open_page()
    wait_for_frames(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.get_by_role("link", name="Open Demo scene").evaluate("element => element === document.activeElement"):
            break
    link = page.get_by_role("link", name="Open Demo scene")
    assert link.evaluate("element => getComputedStyle(element).boxShadow") != "none", "the focus cannot be seen"
    page.keyboard.press("Enter")
    expect(page).to_have_title("Demo scene · Live · Maskwatch")


def test_a_dialog_lists_all_keys_and_can_switch_them_off(open_page: Open, server: ConsoleServer) -> None:
    page = open_page()
    expect(page.get_by_role("button", name="Full screen")).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    for label in ("Show all keys", "Show one camera", "Back to all cameras", "Boxes on and off", "Full screen"):
        expect(dialog.get_by_text(label, exact=True)).to_be_visible()
    dialog.get_by_label("Single-key shortcuts").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("1")
    page.keyboard.press("h")
    expect(page).to_have_url(f"{server.url}/live")
    expect(page.get_by_role("navigation")).to_be_visible()


def test_without_a_keyboard_hidden_controls_come_back(open_page: Open) -> None:
    page = open_page("/live", PHONE, has_touch=True)
    page.get_by_role("button", name="Hide controls").tap()
    expect(page.get_by_role("navigation")).to_be_hidden()
    page.get_by_role("button", name="Show controls").tap()
    expect(page.get_by_role("navigation")).to_be_visible()


def test_the_theme_follows_the_system_until_one_is_chosen(open_page: Open) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page = open_page("/live", color_scheme="dark")
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    assert dark != light
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) == dark
    page.reload()
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(ground) == light


# One camera


def test_a_snapshot_has_the_frames_size_and_its_boxes(open_page: Open, server: ConsoleServer, tmp_path: Path) -> None:
    page = open_page("/live/demo")
    wait_for_frames(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Snapshot").click()
    assert re.fullmatch(r"maskwatch-demo-20[\dTZ-]+\.png", download.value.suggested_filename)
    file = tmp_path / "snapshot.png"
    download.value.save_as(file)
    image = cv2.imread(str(file))
    assert image is not None
    assert image.shape == (360, 640, 3)
    vermilion = np.array([0x2D, 0x54, 0xF2])
    assert (np.abs(image.astype(int) - vermilion).max(axis=2) < 12).sum() > 100, "the boxes are missing"
    expect(page.get_by_text("Saved maskwatch-demo")).to_be_visible()


def test_the_link_to_a_camera_can_be_shared(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/live/demo", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}/live/demo"


def test_what_is_seen_can_be_read_and_heard(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/live/demo")
    rows = page.get_by_role("table", name="Faces in the picture, from left to right").get_by_role("row")
    expect(rows).to_have_count(1 + len(LABELS))
    expect(rows.nth(1)).to_contain_text("With mask")
    expect(rows.nth(1)).to_contain_text("0.95")
    expect(page.locator(".stage > [role=status]")).to_have_text("Demo scene: 1 with mask, 1 without mask, 1 incorrect")
    expect(canvas(page)).to_have_attribute("aria-label", "Demo scene: 1 with mask, 1 without mask, 1 incorrect")


def test_a_button_that_becomes_another_keeps_the_focus(open_page: Open, server: ConsoleServer) -> None:
    demo = server.script("demo")
    demo.managed = True
    page = open_page("/live/demo")

    def pause(route: Route) -> None:
        demo.paused = not demo.paused
        route.fulfill(json={})

    page.route("**/cameras/demo", pause)
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()


def test_a_camera_whose_process_has_ended_can_only_be_removed(open_page: Open, server: ConsoleServer) -> None:
    server.script("demo").state = "offline"
    page = open_page("/live/demo")
    asked: list[str] = []

    def remove(route: Route) -> None:
        asked.append(route.request.method)
        route.fulfill(status=204)

    page.route("**/cameras/demo", remove)
    page.get_by_role("button", name="Remove…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It is back when its process is started again.")
    dialog.get_by_role("button", name="Remove").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert asked == ["DELETE"]


# How it is made


def prepare_troubles(server: ConsoleServer, pictures: list[Picture]) -> None:
    server.scripts = wall(pictures, 4)
    server.scripts[1].behaviour, server.scripts[1].age = "stale", 12.0
    server.scripts[2].behaviour, server.scripts[2].age, server.scripts[2].state = "stale", 250.0, "offline"
    server.scripts[3].behaviour, server.scripts[3].state = "silent", "unknown"


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Open,
    server: ConsoleServer,
    pictures: list[Picture],
    size: tuple[int, int],
    theme: Literal["light", "dark"],
) -> None:
    prepare_troubles(server, pictures)
    # The page's own policy forbids foreign scripts; it is set aside for the one that looks at it.
    page = open_page("/live", size, color_scheme=theme, bypass_csp=True, troubled=True)
    page.add_script_tag(path=AXE)
    tile(page, "cam-4").scroll_into_view_if_needed()
    expect(tile(page, "cam-4")).to_have_attribute("data-state", "waiting")
    found = {"wall": serious(page)}
    page.keyboard.press("1")
    expect(page.get_by_role("table")).to_be_visible()
    found["single"] = serious(page)
    page.keyboard.press("?")
    found["keys"] = serious(page)
    page.keyboard.press("Escape")
    server.scripts.clear()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
    found["empty"] = serious(page)
    page.goto(f"{server.url}/no/such/page")
    page.add_script_tag(path=AXE)
    found["lost"] = serious(page)
    server.token = "sesame"  # noqa: S105  # this test's own
    page.goto(f"{server.url}/live")
    page.add_script_tag(path=AXE)
    expect(page.get_by_label("Token")).to_be_visible()
    found["token"] = serious(page)
    assert [problem for problems in found.values() for problem in problems] == []


def serious(page: Page) -> list[str]:
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def test_motion_ends_where_people_ask_for_it(open_page: Open) -> None:
    page = open_page("/live", reduced_motion="reduce")
    wait_for_frames(page)
    assert page.evaluate("getComputedStyle(document.querySelector('.picture canvas')).transitionDuration") == "0s"


def test_script_and_style_are_small_and_come_from_here(open_page: Open, server: ConsoleServer) -> None:
    loaded: list[str] = []
    page = open_page()
    page.on("request", lambda request: loaded.append(request.url))
    page.reload()
    wait_for_frames(page)
    assert all(url.startswith((f"{server.url}/", "blob:")) for url in loaded)
    assets = [url for url in loaded if url.endswith((".js", ".css"))]
    assert len(assets) > 5
    assert sum(len(httpx.get(url).content) for url in assets) < BUDGET


def test_no_colour_stands_outside_the_tokens() -> None:
    colour = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|oklab|color-mix)a?\(", re.IGNORECASE)
    styled = [
        path
        for path in CONSOLE.rglob("*")
        if path.suffix in {".css", ".js", ".html"} and path.name != "tokens.css" and "vendor" not in path.parts
    ]
    found = {path.name: hits for path in styled if (hits := colour.findall(path.read_text()))}
    assert len(styled) > 10
    assert found == {}


def linear(colour: str) -> npt.NDArray[np.float64]:
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ np.clip(light, 0, 1) / np.array([0.9505, 1, 1.089])
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize(
    "eye",
    [
        pytest.param([[1, 0, 0], [0, 1, 0], [0, 0, 1]], id="usual"),
        # Machado, Oliveira and Fernandes (2009), severity 1.
        pytest.param(
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            id="protan",
        ),
        pytest.param(
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            id="deutan",
        ),
        pytest.param(
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
            id="tritan",
        ),
    ],
)
def test_the_three_states_stay_apart_for_every_eye(eye: list[list[float]]) -> None:
    tokens = (CONSOLE / "tokens.css").read_text()
    colours = [
        re.search(rf"--{name}: (#[0-9a-f]{{6}});", tokens) for name in ("with-mask", "without-mask", "incorrect")
    ]
    seen = [lab(np.array(eye) @ linear(found[1])) for found in colours if found]
    assert len(seen) == 3
    distances = [float(np.linalg.norm(seen[one] - seen[other])) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert min(distances) > 20
