"""The page in headless Chromium: nothing sticks out on a phone or a wide screen, and no error on the console."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from synthetic import study
from synthetic_evidence import verified_study

from scalesearch.report import html_report
from scalesearch.report.figures import figure, figures_of, svg_text

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (390, 1280, 1920)
HARNESS = """<html><body><script>
const found = [];
function look(width, next) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 800px; border: 0`;
  frame.onload = () => setTimeout(() => {
    const page = frame.contentDocument;
    const sort = page.querySelector("th button");
    if (sort) sort.click();
    const out = [...page.querySelectorAll("main > *, main section > *")].filter(
      one => one.getBoundingClientRect().right > width + 1).length;
    const cut = [...page.querySelectorAll(".scroll")].filter(
      one => one.querySelector("table") && one.scrollWidth > one.clientWidth).length;
    found.push({width, scroll: page.documentElement.scrollWidth, out, cut,
      buttons: page.querySelectorAll("th button").length,
      sorted: page.querySelectorAll('th[aria-sort="ascending"], th[aria-sort="descending"]').length});
    frame.remove();
    next();
  }, 200);
  frame.src = "report.html";
  document.body.append(frame);
}
const widths = WIDTHS;
function step() {
  widths.length ? look(widths.shift(), step) : (document.body.textContent = JSON.stringify(found));
}
step();
</script></body></html>"""

STUDIES = {
    "default": study,
    "verified": lambda: verified_study(budgets=("2x", "4x")),
    "one seed": lambda: study(seeds=1),
    "nothing trained": lambda: study(trained=0.0),
}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


def shown(folder) -> tuple[list[dict[str, int]], str]:
    """What the harness saw of `report.html` at each width, and the browser's log."""
    (folder / "harness.html").write_text(HARNESS.replace("WIDTHS", json.dumps(WIDTHS)))
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    wait = ("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom")
    done = subprocess.run(
        [str(BROWSER), *options, *wait, f"--user-data-dir={folder / 'profile'}", (folder / "harness.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    body = re.search(r"<body>(\[.*\])</body>", done.stdout, re.DOTALL)
    assert body, done.stdout[-500:]
    return json.loads(body.group(1)), done.stderr


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_fits_every_width_and_its_script_runs_without_an_error(name, tmp_path):
    result = STUDIES[name]()
    svgs = {kind: svg_text(figure(result, kind), kind) for kind in figures_of(result)}
    (tmp_path / "report.html").write_text(html_report(result, svgs))
    seen, log = shown(tmp_path)
    assert [one["width"] for one in seen] == list(WIDTHS)
    for one in seen:
        assert one["scroll"] <= one["width"] and one["out"] == 0, one
        assert one["width"] < 1280 or not one["cut"], one  # no column is out of sight on a usual screen
        assert one["sorted"] == (1 if one["buttons"] else 0), one
    assert name == "nothing trained" or all(one["buttons"] > 5 for one in seen)
    assert not [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils) on this machine")
def test_on_paper_nothing_is_cut_off(tmp_path):
    """What a screen scrolls is wrapped: the command that makes the study again, and every column of the table."""
    result = study()
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    long = " ".join(f"--option-{n} value-{n}" for n in range(40))
    page.write_text(html_report(result, {}).replace("</main>", f"<pre>{long}</pre></main>"))
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    subprocess.run(
        [str(BROWSER), *options, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri()],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    words = subprocess.run(["pdftotext", str(paper), "-"], capture_output=True, text=True, check=True).stdout.split()
    letters = "".join(words).replace("-", "")  # a line may end after a hyphen, which pdftotext may drop
    assert all(f"option{n}value{n}" in letters for n in range(40))
    assert "params" in words
    assert "note" in words
