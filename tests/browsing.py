"""The page in a real browser: which one, and a tab that notes whatever goes wrong."""

import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NAMES", "Tab", "find_browser", "opened", "started"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ELSEWHERE = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)


def find_browser() -> str | None:
    """The path of a Chromium or Chrome, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None) or next(
        (path for path in ELSEWHERE if Path(path).exists()), None
    )


@contextlib.contextmanager
def started(path: str) -> Generator[Any]:
    """The browser, headless, in a context manager."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers refuse Chromium its sandbox, and the page is our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page that is open: what it shows, and what it complained of or asked for.

    Attributes:
        page: playwright's.
        wrong: messages of the console, errors, and requests other than for the page itself.
    """

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path, self.wrong = page, path, list[str]()
        page.on("console", lambda message: self._said(message.text))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", lambda request: self._requested(request.url))

    def _said(self, text: str) -> None:
        if "willReadFrequently" not in text:  # it is the tests that read the pictures back
            self.wrong.append(f"console: {text}")

    def _requested(self, url: str) -> None:
        if url.split("#")[0] != self.path.as_uri() and url != "data:,":
            self.wrong.append(f"request: {url}")

    def go(self, link: str = "") -> "Tab":
        """Open the page anew at a link, ``#test=17``."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.path.as_uri()}{link}")
        return self.settle()

    def settle(self) -> "Tab":
        """Wait until everything is computed."""
        return self.wait("['done', 'left out'].includes(document.body.dataset.numerical) && time.taken")

    def wait(self, condition: str) -> "Tab":
        """Wait until an expression is true; the page's policy forbids playwright's own way, which evaluates text."""
        self.ask(
            f"""new Promise((done, failed) => {{
                const end = performance.now() + 120000;
                const look = () => {{
                    if ({condition}) done();
                    else if (performance.now() > end) failed(new Error("it does not come true"));
                    else setTimeout(look, 5);
                }};
                look();
            }})"""
        )
        return self

    def ask(self, expression: str, argument: Any = None) -> Any:
        """The value of an expression of JavaScript in the page."""
        return self.page.evaluate(expression, argument)

    def text(self, selector: str) -> str:
        """What an element shows."""
        return self.page.locator(selector).inner_text()

    def data(self, selector: str, name: str) -> str:
        """An element's ``data-`` attribute."""
        return self.page.locator(selector).get_attribute(f"data-{name}")


@contextlib.contextmanager
def opened(browser: Any, path: Path, link: str = "", **context: Any) -> Generator[Tab]:
    """A tab with the page; at the end nothing may have gone wrong."""
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **context})
    tab = Tab(made.new_page(), path)
    yield tab.go(link)
    made.close()
    if tab.wrong:
        pytest.fail("\n".join(tab.wrong))
