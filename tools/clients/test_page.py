"""The page at `/` in headless Chromium: a conversation, a file, a lost connection, a phone, and screenshots.

Screenshots go to target/page, to be looked at.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from playwright.sync_api import expect, sync_playwright

from serving import ROOT, Server

#: Screenshots, by the name of what they show.
SHOTS = ROOT / "target" / "page"
#: An answer of a small model on two busy cores.
PATIENCE_MS = 120_000


def browser_path():
    """The Chromium of the system; where there is none, and packages can be installed, it is."""
    names = ["chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if not found and shutil.which("apt-get"):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        sudo = ["sudo", "--non-interactive"] if shutil.which("sudo") and os.geteuid() else []
        subprocess.run([*sudo, *install], check=False)
        found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise RuntimeError("the page is tested in Chromium, which was not found: install the package 'chromium'")
    return found


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        SHOTS.mkdir(parents=True, exist_ok=True)
        cls.playwright = cls.enterClassContext(sync_playwright())
        # Tests may run as an administrator, whom the sandbox refuses.
        cls.browser = cls.playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def open(self, server, **options):
        page = self.browser.new_page(**{"viewport": {"width": 1200, "height": 800}, **options})
        self.addCleanup(page.close)
        self.foreign, self.complaints = [], []
        page.on("request", lambda r: None if r.url.startswith((server.url, "data:")) else self.foreign.append(r.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(server.url)
        expect(page.locator("#model")).to_contain_text("smollm2", timeout=PATIENCE_MS)
        return page

    def say(self, page, text):
        page.locator("#text").fill(text)
        page.keyboard.press("Enter")

    def answered(self, page):
        """Waits for the end of the answer; its text."""
        expect(page.locator("#stop")).to_be_hidden(timeout=PATIENCE_MS)
        return page.locator("#turns .assistant").last.inner_text()

    def test_a_conversation_with_a_file(self):
        # Long enough to be compressed, with settings that a model so small still understands.
        cache = "fourier:window=800,harmonics=256,least-middle=512"
        with Server(cache=cache) as server, tempfile.TemporaryDirectory() as folder:
            page = self.open(server)
            page.locator("summary").click()
            page.locator("#temperature").fill("0")
            page.locator("#tokens").fill("60")
            page.locator("summary").click()
            self.say(page, "What is the capital of France?")
            self.assertIn("Paris", self.answered(page))
            report = pathlib.Path(folder, "report.txt")
            report.write_text("".join(f"Day {i}: the harbour was calm and {i * 3} boats came in.\n" for i in range(130)))
            page.locator("#file").set_input_files(report)
            expect(page.locator("#attached-name")).to_contain_text("report.txt")
            page.locator("#text").fill("What is this report about?")
            page.keyboard.press("Enter")
            self.assertTrue(self.answered(page).strip())
            expect(page.locator("#turns .file")).to_contain_text("report.txt")
            expect(page.locator("#saving")).to_contain_text("×", timeout=PATIENCE_MS)
            expect(page.locator("#legend li").first).to_be_visible()
            self.assertRegex(page.locator("#bars").inner_text(), r"held: .*MB\s+exact would take: .*MB")
            page.screenshot(path=SHOTS / "conversation.png")
            page.locator("#clear").click()
            expect(page.locator("#turns li")).to_have_count(0)
            self.assertEqual((self.foreign, self.complaints), ([], []))

    def test_a_lost_connection(self):
        server = Server()
        with server:
            page = self.open(server)
            self.say(page, "Write a long story about a lighthouse and the sea.")
            expect(page.locator("#turns .assistant")).to_contain_text(re.compile(r"\w"), timeout=PATIENCE_MS)
            server.process.kill()
            expect(page.locator("#notice")).to_contain_text("connection was lost", timeout=PATIENCE_MS)
            expect(page.locator("#turns .assistant .note")).to_have_text("cut short")
            page.screenshot(path=SHOTS / "lost.png")
            self.say(page, "Are you there?")
            expect(page.locator("#model")).to_contain_text("cannot be reached", timeout=PATIENCE_MS)
            expect(page.locator("#text")).to_have_value("Are you there?", timeout=PATIENCE_MS)
        port = int(server.url.rsplit(":", 1)[1])
        with Server(port=port):
            expect(page.locator("#model")).to_contain_text("smollm2", timeout=PATIENCE_MS)
            page.keyboard.press("Enter")
            self.assertTrue(self.answered(page).strip())
            expect(page.locator("#notice")).to_be_hidden()

    def test_keys_alone_and_a_phone(self):
        with Server(key="a-key-for-the-page") as server:
            # The browser asks for a password; the key is one.
            password = {"username": "anybody", "password": server.key}
            page = self.open(server, viewport={"width": 390, "height": 844}, has_touch=True, http_credentials=password)
            self.assertEqual(page.evaluate("document.activeElement.id"), "text")
            page.keyboard.type("Write a very long story.")
            page.keyboard.press("Enter")
            expect(page.locator("#turns .assistant")).to_contain_text(re.compile(r"\w"), timeout=PATIENCE_MS)
            page.keyboard.press("Escape")
            self.assertIn("stopped", self.answered(page))
            overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            self.assertLessEqual(overflow, 0, "nothing sticks out of a phone's screen")
            form = page.locator("#ask").bounding_box()
            self.assertLessEqual(form["y"] + form["height"], 844, "the form is on the first screen")
            page.screenshot(path=SHOTS / "phone.png")


if __name__ == "__main__":
    unittest.main()
