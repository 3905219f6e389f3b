# SPDX-License-Identifier: BSD-2-Clause
"""A browser, driven by the WebDriver protocol (W3C): as much of it as the tests of the report need."""

import base64
import json
import re
import subprocess
import tempfile
import time
import urllib.request

OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]


class Browser:
    """Chromium without a window. To be used with `with`."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self.address = f"http://127.0.0.1:{self.find_port()}"
            options = {"args": [*OPTIONS, f"--user-data-dir={self.profile.name}"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}
            answer = self.send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.end_driver()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("DELETE", self.session)
        finally:
            self.end_driver()

    def end_driver(self):
        """Ends what was started."""
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        self.profile.cleanup()

    def find_port(self):
        """The port that the driver has chosen."""
        for line in self.driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return found.group(1)
        raise RuntimeError("chromedriver did not start")

    def send(self, method, path, body=None):
        """The value that a command answers with."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def devtools(self, command, **parameters):
        """A command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self.send("POST", f"{self.session}/goog/cdp/execute", body)

    def open(self, url):
        """Loads a page."""
        self.send("POST", f"{self.session}/url", {"url": url})

    def run(self, script, *arguments):
        """What a function body in JavaScript returns."""
        return self.send("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def prefer(self, scheme):
        """Has the page drawn in `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def resize(self, width, height=900):
        """Gives the page a window of so many CSS pixels."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=False)

    def point_at(self, selector):
        """Moves the pointer to the first of such elements; what the page tells of it."""
        place = self.run("const element = document.querySelector(arguments[0]);"
                         "element.scrollIntoView({ block: 'center' });"
                         "const box = element.getBoundingClientRect();"
                         "return [box.left + box.width / 2, box.top + box.height / 2];", selector)
        self.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
        return self.run("return document.getElementById('told').textContent")

    def requested(self):
        """The addresses that were asked for since this was called last."""
        time.sleep(0.3)  # the log is filled from another process
        entries = self.send("POST", f"{self.session}/se/log", {"type": "performance"})
        events = (json.loads(entry["message"])["message"] for entry in entries)
        return [
            event["params"]["request"]["url"] for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self, path):
        """Writes a picture of the whole page."""
        picture = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
