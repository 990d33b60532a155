"""A headless Chromium, driven through its DevTools pipe, and a proxy that records requests."""

import base64
import fcntl
import json
import os
import select
import shutil
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PATIENCE = 60.0  # seconds for a page to load on a busy machine
LOCAL = ("file:", "data:", "blob:", "about:")


class Proxy(socketserver.ThreadingTCPServer):
    """Refuses every request, and appends its first line to `asked`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Refuse)


class _Refuse(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        self.server.asked.append(self.rfile.readline().decode().strip())
        self.wfile.write(b"HTTP/1.1 502 Refused\r\nContent-Length: 0\r\n\r\n")


class Page:
    """A tab.

    Attributes:
        errors: exceptions that the page threw, and errors on its console.
        requests: the URLs that it requested, except files and what it contains itself.
    """

    def __init__(self, chromium: "Chromium", session: str) -> None:
        self._chromium, self._session = chromium, session
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    def call(self, method: str, **arguments: Any) -> dict:
        return self._chromium.call(method, self._session, **arguments)

    def evaluate(self, script: str) -> Any:
        """The value of `script`, or of the promise that it returns."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def screenshot(self, file: Path) -> None:
        """The whole page, beyond the window's lower edge too."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def prefer(self, scheme: str) -> None:
        """Set the user's colour scheme, "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def notice(self, event: str, details: dict) -> None:
        if event == "Page.loadEventFired":
            self.loaded = True
        elif event == "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            self.errors.append(thrown.get("exception", {}).get("description", thrown["text"]))
        elif event == "Runtime.consoleAPICalled" and details["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(a.get("value", a)) for a in details["args"]))
        elif event == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.errors.append(details["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            url = details["request"]["url"]
            if not url.startswith(LOCAL):
                self.requests.append(url)
        elif event == "Network.webSocketCreated":
            self.requests.append(details["url"])


class Chromium:
    """A running browser.

    Attributes:
        asked: the first line of every request by which a page tried to reach the network.
    """

    def __init__(self, to: int, back: int, proxy: Proxy) -> None:
        self._to, self._back = to, back
        self._proxy = f"127.0.0.1:{proxy.server_address[1]}"
        self.asked = proxy.asked
        self._received = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def open(self, file: Path, width: int = 1200, before: str = "") -> Page:
        """A new tab with `file`, completely loaded; the script `before` runs before its own."""
        # The browser's own requests go elsewhere: only pages use the recording proxy.
        context = self.call(
            "Target.createBrowserContext",
            proxyServer=self._proxy,
            proxyBypassList="<-loopback>",
        )["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.loaded = False
        page.call("Page.navigate", url=file.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE
        while not page.loaded:
            self._receive(deadline)
        return page

    def call(self, method: str, session: str | None = None, **arguments: Any) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while (answer := self._receive(deadline)).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self, deadline: float) -> dict:
        """The next message; its page is told of an event."""
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._back], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"Chromium has not answered for {PATIENCE:.0f} s"
            data = os.read(self._back, 1 << 20)
            assert data, "Chromium has exited"
            self._received += data
        text, _, self._received = self._received.partition(b"\0")
        message = json.loads(text)
        page = self._pages.get(message.get("sessionId", ""))
        if page and "method" in message:
            page.notice(message["method"], message["params"])
        return message


@contextmanager
def started(profile: Path) -> Iterator[Chromium]:
    """A Chromium with the empty folder `profile`, which can reach only files."""
    assert EXECUTABLE
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy())
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(proxy.shutdown)
        read, to = os.pipe()
        back, write = os.pipe()
        stack.callback(os.close, to)
        stack.callback(os.close, back)
        # Above 4: the shell makes them 3 and 4, where Chromium expects them.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write)]
        options = [
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --mute-audio",
            "--disable-background-networking --disable-component-update --disable-sync",
            "--disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe",
            "--proxy-server=127.0.0.1:9",  # where nothing listens
        ]
        process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", EXECUTABLE),
                *" ".join(options).split(),
                f"--user-data-dir={profile}",
            ],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Only Chromium holds them now: if it exits, reading ends here.
        for end in (read, write, *ends):
            os.close(end)
        chromium = Chromium(to, back, proxy)
        try:
            yield chromium
            chromium.call("Browser.close")
            process.wait(10)
        finally:
            process.kill()
            process.wait()
