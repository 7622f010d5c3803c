"""What a student sees in a real JupyterLab, in headless Chromium: the start page, and the table of a check, readable in
both themes, on wide and narrow screens.

Set SEGLAB_SCREENSHOTS to a folder to keep pictures of what was seen.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from seglab.checking.fingerprints import differences
from seglab.checking.run import observe
from seglab.course import lay

CHROMIUM = shutil.which("chromium")
# CI installs it, so there it must be found; whoever runs the tests at home may do without.
pytestmark = pytest.mark.skipif(not (CHROMIUM or os.environ.get("CI")), reason="chromium is not installed")
ROOT = Path(__file__).resolve().parents[2]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
QUIET_BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET_BROWSER += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

SETUP = """from pathlib import Path
import torch
import seglab.checking.run
from seglab import check
seglab.checking.run.LESSONS = Path("checks")"""

# A lesson of its own, so that what is looked at here does not change with the course.
CHECKS = '''
import torch
from seglab.checking.compare import assert_same


class TestWindowStarts:
    """window_starts: where a window may begin"""

    def test_rest(self, student):
        """A last piece that is too short is left out"""
        assert_same(student.window_starts(100, 30, 8), [0, 8, 16, 24, 32, 40, 48, 56, 64])

    def test_border(self, student):
        """A window may end at the border"""
        assert_same(student.window_starts(256, 64, 48), [0, 48, 96, 144, 192])

    def test_one(self, student):
        """A window as large as the picture"""
        assert_same(student.window_starts(1000, 400, 200), [0, 200, 400, 600])


class TestScoresToMask:
    """scores_to_mask: a class for every pixel"""

    forbidden = {"interpolate": "you are building it"}

    def test_two(self, student):
        """Two classes in a 9 by 6 picture"""
        stripes = torch.arange(54).view(9, 6) % 2
        assert_same(student.scores_to_mask(torch.ones(2, 3, 2), (9, 6)), stripes)

    def test_three(self, student):
        """Three classes"""
        assert_same(student.scores_to_mask(torch.ones(3, 2, 2), (4, 8)), torch.full((4, 8), 2))


class TestExtractWindows:
    """extract_windows: all the windows"""

    def test_shape(self, student):
        """One window"""
        assert_same(student.extract_windows(torch.ones(1)), torch.ones(1))
'''

FORGETFUL = """def window_starts(size, window, stride):
    return list(range(0, size - window, stride))
"""

RIGHT = """def window_starts(size, window, stride):
    return list(range(0, size - window + 1, stride))
"""

# A wrong answer that breaks a rule, prints markup, and returns a map that can be drawn.
BLANK = """def scores_to_mask(scores, image_size):
    print("<img src=x onerror=alert(1)>", "x" * 500)
    torch.nn.functional.interpolate(scores[None], image_size)
    return torch.zeros(image_size, dtype=torch.int64)
"""

KERNEL_IS_IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"

# For every piece of text in a report: the contrast with what is behind it (WCAG 2: (L1 + 0.05) / (L2 + 0.05)).
CONTRASTS = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = element => {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour[3] === 1 || !element.parentElement) return colour;
    return over(colour, behind(element.parentElement));
  };
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opacity = element => element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const found = [];
  for (const root of document.querySelectorAll('.seglab-check')) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
      if (!text || element.tagName === 'STYLE') continue;
      const back = behind(element), colour = parse(getComputedStyle(element).color);
      const front = over([...colour.slice(0, 3), colour[3] * opacity(element)], back);
      const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
      found.push([text.slice(0, 60), (high + 0.05) / (low + 0.05)]);
    }
  }
  return found;
}"""

# Whatever reaches beyond its report, or is cut off within itself.
OVERFLOWING = """() => [...document.querySelectorAll('.seglab-check')].flatMap(root => {
  const right = root.parentElement.getBoundingClientRect().right + 1;
  return [root, ...root.querySelectorAll('*:not(style)')]
    .filter(e => e.getBoundingClientRect().right > right || e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
    .map(e => `${e.tagName} ${e.textContent.slice(0, 40)}`);
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab with settings and folders of its own. Gives (address pattern, settings folder)."""
    home = tmp_path_factory.mktemp("home")
    work = tmp_path_factory.mktemp("work")
    write_course(work)
    lay(ROOT, work / "course")
    port, token = free_port(), secrets.token_hex(16)
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    folders |= {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(home / folder) for name, folder in folders.items()}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/api/status?token={token}", process, home / "log")
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}.ipynb?reset&token={token}", home / "settings"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def write_course(folder):
    """The notebook, and the course's checks with one known wrong answer named."""
    checks = folder / "checks"
    checks.mkdir()
    (checks / "42_trial.py").write_text(CHECKS)
    tests, wrong, right = {}, {}, {}
    for source, namespace in ((CHECKS, tests), (FORGETFUL, wrong), (RIGHT, right)):
        exec(source, namespace)
    model, shown = (
        observe(tests["TestWindowStarts"], {"window_starts": one["window_starts"]}) for one in (right, wrong)
    )
    entry = {"explanation": "A window that ends exactly at the border is left out.", "hint": 2}
    entry["shows"] = differences(shown, model)
    known = {"window_starts": {"right": model, "wrong": {"forgetful": entry}}}
    (checks / "42_trial.json").write_text(json.dumps(known))
    sources = [SETUP, FORGETFUL, "check(window_starts)", RIGHT, "check(window_starts)", BLANK, "check(scores_to_mask)"]
    cells = [new_code_cell(source) for source in [*sources, "check(extract_windows)"]]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name in THEMES:  # one each, so that no output of the first test is there in the second
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(address, process, log):
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


def use_theme(settings, theme):
    """Write the user's settings before the page reads them."""
    wanted = {
        "apputils-extension/themes": {"theme": theme},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are in the page, too
    }
    for name, values in wanted.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def keep_picture(page, name):
    if folder := os.environ.get("SEGLAB_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number, report in enumerate(page.locator(".seglab-check").all()):
            report.scroll_into_view_if_needed()
            report.screenshot(path=f"{folder}/check_{name}_{number}.png")


@pytest.fixture
def page(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET_BROWSER)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_the_start_page_leads_to_lectures_and_exercises(server, page):
    address, settings = server
    use_theme(settings, THEMES["light"])
    page.goto(address.format("course/start"))
    page.wait_for_selector(".jp-RenderedMarkdown table")
    lessons = sorted(path.name for path in (ROOT / "exercises").iterdir() if path.is_dir())
    if folder := os.environ.get("SEGLAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/start.png")
    links = page.locator(".jp-RenderedMarkdown td a")
    assert links.count() == 2 * len(lessons)
    links.nth(1).click()  # the exercises of the first lesson
    page.wait_for_selector(f".lm-TabBar-tabLabel:text-is('{lessons[0]}.ipynb')")
    picture = page.locator(".jp-MainAreaWidget:not(.lm-mod-hidden) .jp-RenderedMarkdown img").first
    picture.wait_for(state="attached")
    assert picture.get_attribute("alt")
    page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())
    page.locator(".lm-TabBar-tabLabel:text-is('start.ipynb')").click()
    links.nth(2 * len(lessons) - 2).click()  # the last lecture
    page.wait_for_selector(f".lm-TabBar-tabLabel:text-is('{lessons[-1]}.ipynb')")
    page.wait_for_selector(f".jp-RenderedMarkdown h1:has-text('{lessons[-1][:2]} ·')")


@pytest.mark.parametrize("name", THEMES)
def test_reports_are_readable_in_jupyterlab(server, page, name):
    address, settings = server
    use_theme(settings, THEMES[name])
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    page.goto(address.format(name))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function(KERNEL_IS_IDLE)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_selector("text=extract_windows is not defined yet")
    assert page.get_attribute("body", "data-jp-theme-light") == str(name == "light").lower()

    reports = page.locator(".seglab-check")
    assert reports.count() == 3  # each check shows once
    texts = reports.all_inner_texts()
    assert "1 of 3 visible checks passed" in texts[0] and "ends exactly at the border" in texts[0]
    assert "open hint 2" in texts[0] and "3 of 3 visible checks passed; hidden checks" in texts[1]
    assert texts[2].count("✗ fail") == 3 and "a use of interpolate" in texts[2]
    picture = page.locator(".seglab-check img")
    assert picture.count() == 1 and "values differ" in picture.get_attribute("alt")
    assert picture.evaluate("image => image.naturalWidth") > 100
    assert not dialogs  # what the student printed stayed text

    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert not [(text, ratio) for text, ratio in contrasts if ratio < 4.5]
    page.evaluate("() => { window.jupyterapp.commands.execute('application:toggle-left-area'); }")
    for width, screen in ((1280, "wide"), (480, "narrow")):
        page.set_viewport_size({"width": width, "height": 1600})
        page.wait_for_timeout(500)  # the layout follows the window with a delay
        keep_picture(page, f"{name}_{screen}")
        assert page.evaluate(OVERFLOWING) == [], screen
