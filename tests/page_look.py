"""Pictures of the page for people to judge, and how fast it is: a Chromium or Chrome that is there, headless.

python -m tests.page_look runs/page/page.html runs/look
"""

import argparse
import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.browsing import Tab, find_browser, opened, started

THREE = [(8, 5), (13, 2.5), (19, 2.5), (23, 6), (22, 11), (15, 15), (21, 17), (24, 22), (22, 27), (16, 29.5), (8, 27)]
"""A 3 on the 32 x 32 pixels."""

WATCH = """() => {
    window.took = [];
    const own = drawing.changed;
    drawing.changed = (ended) => {
        const start = performance.now();
        own(ended);
        document.body.offsetHeight; // with the layout that the change asks for
        const shown = performance.now() - start;
        const all = () => {
            if (document.body.dataset.numerical === "done") took.push([shown, performance.now() - start]);
            else setTimeout(all);
        };
        all();
    };
}"""


def draw(tab: Tab, points: Sequence[tuple[float, float]]) -> None:
    """A stroke with the mouse through points of the 32 x 32 pixels."""
    tab.page.locator("#pixels").scroll_into_view_if_needed()
    box = tab.page.locator("#pixels").bounding_box()
    for number, (x, y) in enumerate(points):
        tab.page.mouse.move(box["x"] + x * box["width"] / 32, box["y"] + y * box["height"] / 32)
        if number == 0:
            tab.page.mouse.down()
    tab.page.mouse.up()


def spread(values: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.1f} ms ({low:.1f} to {high:.1f})"


def pictures(browser: Any, path: Path, folder: Path) -> None:
    """The whole page, wide and narrow, light and dark, in both languages; and its first screen."""
    for scheme, width, language in itertools.product(("light", "dark"), (1280, 360), ("en", "ja")):
        context: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
        with opened(browser, path, f"#lang={language}", **context) as tab:
            draw(tab, THREE)
            tab.settle()
            tab.ask("scrollTo(0, 0)")
            # The bar at the bottom would stand in the middle of a picture of everything.
            tab.ask("find('bar').style.position = 'static'")
            tab.page.screenshot(path=folder / f"page-{width}-{scheme}-{language}.png", full_page=True)
    with opened(browser, path, viewport={"width": 1280, "height": 1330}) as tab:
        draw(tab, THREE)
        tab.settle().page.screenshot(path=folder / "first-screen.png")


def timings(browser: Any, path: Path) -> str:
    """First paint, and what a movement of the pen costs."""
    paints = list[float]()
    for _ in range(11):
        with opened(browser, path, "#test=17") as tab:
            tab.wait("performance.getEntriesByType('paint').length > 0")
            paints.append(tab.ask("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    with opened(browser, path, "#test=17") as tab:
        tab.ask(WATCH)
        ring = [(16 + 8 * math.sin(k / 20), 16 - 13 * math.cos(k / 20)) for k in range(126)]
        for point in ring:  # one stroke each, so that each has the time to be computed to the end
            draw(tab, [point, (point[0] + 1, point[1])])
            tab.settle()
        took: list[list[float]] = tab.ask("took")
    return (
        f"first contentful paint {spread(paints)}; after a movement of the pen all is shown in "
        f"{spread([each[0] for each in took])}, central differences in slices included: "
        f"{spread([each[1] for each in took])} ({len(took)} movements)"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    path = find_browser()
    if path is None:
        raise SystemExit("error: there is no Chromium and no Chrome on this machine")
    options.folder.mkdir(parents=True, exist_ok=True)
    with started(path) as browser:
        print(timings(browser, options.page.resolve()))
        pictures(browser, options.page.resolve(), options.folder)


if __name__ == "__main__":
    main()
