"""What tests read off the page, and how they drag."""

from __future__ import annotations

STEADY = "() => document.getAnimations().every(each => each.playState !== 'running')"
"""Nothing on the page is on its way to another colour or place."""


def dataset(page, panel: str) -> dict[str, str]:
    return page.evaluate(
        "panel => ({...document.querySelector(`#${panel} .html-container > div`).dataset})", panel
    )


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


def drag_alpha(page, start: float, end: float, steps: int = 30) -> None:
    """Move the slider's thumb with the mouse from one α to another."""
    box = page.locator("#alpha input[type=range]").bounding_box()

    def at(alpha: float) -> float:
        return box["x"] + 8 + (box["width"] - 16) * (alpha + 3) / 6

    middle = box["y"] + box["height"] / 2
    page.mouse.move(at(start), middle)
    page.mouse.down()
    page.mouse.move(at(end), middle, steps=steps)
    page.mouse.up()
