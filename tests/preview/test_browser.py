"""The page in headless Chromium: what a person who opens it sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from board.machines import machine
from board.simulated import SimulatedBoard, steady
from browser import Browser
from live_run import Start

from edge_vss.preview import TOKEN_VARIABLE

SEQUENCE = "Number(document.querySelector('#picture')?.dataset.sequence ?? -1)"
PIXELS = """(() => {
  const picture = document.querySelector('#picture'), sheet = document.createElement('canvas');
  sheet.width = picture.naturalWidth; sheet.height = picture.naturalHeight;
  const pen = sheet.getContext('2d');
  pen.drawImage(picture, 0, 0);
  return Array.from(pen.getImageData(0, 0, 64, 8).data).join();
})()"""
TEXT = "document.body ? document.body.innerText : ''"


def shown(name: str) -> str:
    return f"document.querySelector('#{name}')?.textContent ?? ''"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as opened:
        yield opened


def outside(browser: Browser, url: str) -> list[str]:
    """Requests to anywhere but this page."""
    own = url.partition("?")[0]
    return [asked for asked in browser.requests() if not asked.startswith((own, f"blob:{own}", "data:"))]


def test_the_picture_and_the_figures_follow_the_run(start: Start, browser: Browser, tmp_path: Path) -> None:
    SimulatedBoard(tmp_path / "board", machine("orin-nano-jetpack6"), steady(7_250.0))
    run = start(size=(240, 320), interval_s=0.02, root=tmp_path / "board")
    browser.open(run.preview.url)
    first = browser.wait_for(SEQUENCE, lambda number: number >= 0)
    looks = {browser.run(PIXELS)}
    for _ in range(4):
        before = browser.run(SEQUENCE)
        after = browser.wait_for(SEQUENCE, lambda number, before=before: number > before)
        assert after <= run.stats.frames
        looks.add(browser.run(PIXELS))
    assert len(looks) >= 4, "the picture itself changes, not its number alone"
    assert browser.wait_for(shown("state"), lambda text: text == "live")
    browser.wait_for(shown("watts"), lambda text: text == "7.25W")
    assert browser.run("[...document.querySelectorAll('#stages .name')].map((name) => name.textContent).join()") == (
        "s1,s2,s3,fuse"
    )
    lamps = "[...document.querySelectorAll('#stages .lamp')].map((lamp) => lamp.className).join()"
    browser.wait_for(lamps, lambda text: text == "lamp on,lamp on,lamp,lamp on")
    browser.wait_for(lamps, lambda text: text == "lamp on,lamp on,lamp on,lamp on")
    assert browser.run("document.querySelectorAll('#legend li').length") == 5
    assert float(browser.wait_for(shown("fps"), lambda text: text not in ("", "–"))) > 1
    assert "reset" in browser.run(shown("flags")) and first >= 0
    assert browser.errors() == [] and outside(browser, run.preview.url) == []


def test_what_the_governor_plays_and_why_is_shown(start: Start, browser: Browser) -> None:
    run = start(interval_s=0.01, deadline_ms=1e-3)
    browser.open(run.preview.url)
    browser.wait_for(shown("schedule"), lambda text: text == "schedule reuse")
    browser.wait_for(shown("ladder"), lambda text: "reuse" in text and "%" in text)
    assert browser.run("document.querySelector('#ladder').checkVisibility()")
    assert "degraded" in browser.run(shown("flags"))
    assert "schedule reuse (frame" in browser.run(shown("reasons")) and "late" in browser.run(shown("reasons"))
    assert browser.errors() == []


def test_the_view_can_be_chosen(start: Start, browser: Browser) -> None:
    run = start(size=(240, 320), interval_s=0.02)
    browser.open(run.preview.url)
    browser.wait_for(SEQUENCE, lambda number: number >= 0)
    for view in ("camera", "labels"):
        browser.run(f"document.querySelector('#views button[value={view}]').click()")
        pressed = browser.run("document.querySelector('#views [aria-pressed=true]').value")
        before = browser.run(SEQUENCE)
        browser.wait_for(SEQUENCE, lambda number, before=before: number > before + 1)
        assert pressed == view and any(f"view={view}" in url for url in browser.requests())
    assert browser.errors() == []


def test_the_token_is_wanted_kept_and_taken_out_of_the_address(start: Start, browser: Browser) -> None:
    run = start("0.0.0.0:0", environment={TOKEN_VARIABLE: "correct-horse-battery"})
    page = f"http://127.0.0.1:{run.port}/"
    for query in ("", "?token=wrong-horse-battery"):
        browser.open(page + query)
        browser.wait_for(TEXT, lambda text: "token is missing or wrong" in text)
        assert browser.run("document.querySelector('#picture') === null")
    browser.open(f"{page}?token=correct-horse-battery")
    before = browser.wait_for(SEQUENCE, lambda number: number >= 0)
    browser.wait_for(SEQUENCE, lambda number: number > before)
    assert browser.run("location.href") == page and browser.run("document.cookie") == ""
    browser.open(page)
    browser.wait_for(SEQUENCE, lambda number: number >= 0)
    run.stop()
    browser.wait_for(shown("state"), lambda text: text == "the run has ended")


@pytest.mark.parametrize(("width", "phone", "dark"), [(1440, False, False), (390, True, True)], ids=["desk", "phone"])
def test_nothing_lies_beyond_the_edge_of_the_window(
    start: Start, tmp_path: Path, width: int, phone: bool, dark: bool
) -> None:
    run = start(size=(240, 320), interval_s=0.02)
    with Browser(tmp_path / "profile", width=width, height=844, phone=phone, dark=dark) as browser:
        browser.open(run.preview.url)
        browser.wait_for(SEQUENCE, lambda number: number >= 0)
        browser.wait_for(shown("facts"))
        assert browser.run("document.documentElement.scrollWidth") <= width
        light = browser.run("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).every((c) => c > 127)")
        assert light is not dark
        browser.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000
        assert browser.errors() == []


def test_several_browsers_see_the_same_run(start: Start, browser: Browser, tmp_path: Path) -> None:
    run = start(size=(240, 320), interval_s=0.02)
    with Browser(tmp_path / "other", width=390, height=844, phone=True) as other:
        for each in (browser, other):
            each.open(run.preview.url)
        for each in (browser, other, browser):
            before = each.wait_for(SEQUENCE, lambda number: number >= 0)
            each.wait_for(SEQUENCE, lambda number, before=before: number > before)
    assert run.preview.server.connections >= 1
