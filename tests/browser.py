"""A headless Chromium whose pages can reach only files, and what they do wrong."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize, sync_playwright

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LOCAL = ("file:", "data:", "blob:", "about:")
NOWHERE = {"server": "http://127.0.0.1:9"}  # nothing listens there


class Tab:
    """A page.

    Attributes:
        page: Playwright's.
        errors: exceptions that the page threw, and errors on its console.
        requests: the URLs that it requested, except files and what it contains itself.
    """

    def __init__(
        self, browser: Browser, file: Path, width: int, before: str, **prefers: Any
    ) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        size = ViewportSize(width=width, height=800)
        self.page = browser.new_page(viewport=size, is_mobile=width < 500, **prefers)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self._requested(request.url))
        self.page.on("websocket", lambda socket: self._requested(socket.url))
        self.page.add_init_script(before)
        self.page.goto(file.resolve().as_uri())

    def _note(self, message: Any) -> None:
        if message.type in ("error", "assert"):
            self.errors.append(message.text)

    def _requested(self, url: str) -> None:
        if not url.startswith(LOCAL):
            self.requests.append(url)

    def evaluate(self, script: str) -> Any:
        """The value of `script`, or of the promise that it returns."""
        return self.page.evaluate(script)


class Chromium:
    """A running browser."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, file: Path, width: int = 1200, before: str = "", **prefers: Any) -> Tab:
        """A new tab with `file`, completely loaded; the script `before` runs before its own.

        `prefers` is what its user prefers, as `color_scheme="dark"`.
        """
        return Tab(self._browser, file, width, before, **prefers)


@contextmanager
def started() -> Iterator[Chromium]:
    """A Chromium which can reach only files."""
    with sync_playwright() as playwright:
        yield Chromium(playwright.chromium.launch(executable_path=EXECUTABLE, proxy=NOWHERE))
