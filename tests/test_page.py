"""The page of `dvc plots show`, as a browser without a network shows it."""

import json
import re
from pathlib import Path

import pytest

from tests.browser import Chromium
from tests.conftest import Workspace

# Keeps what the page's calls of vegaEmbed promise: the place, and how many marks are drawn there.
LISTEN = """
const drawn = [];
let embed;
const marks = node => (node.items || []).reduce(
  (sum, item) => sum + marks(item), node.role == "mark" && node.marktype != "group"
    ? node.items.length : 0);
Object.defineProperty(window, "vegaEmbed", {
  get: () => embed,
  set: original => {
    embed = (place, ...others) => {
      const promise = original(place, ...others);
      drawn.push(promise.then(({view}) => [place, marks(view.scenegraph().root)]));
      return promise;
    };
  },
});
"""
SIZES = """
[...document.querySelectorAll(".vega-embed")].map(div => {
  const box = div.querySelector("canvas, svg").getBoundingClientRect();
  return Math.min(box.width, box.height);
})
"""


@pytest.fixture(scope="module")
def page(finished_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = finished_workspace.copy(tmp_path_factory.mktemp("page") / "project")
    for command in (
        ("python", "-m", "fashion_mnist.page"),
        ("dvc", "plots", "show", "-o", "plots/page"),
    ):
        done = workspace.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return workspace.path / "plots/page/index.html"


def test_every_plot_is_drawn_without_errors_or_requests(
    page: Path, chromium: Chromium, tmp_path: Path
):
    specs = [json.loads(text) for text in re.findall(r"var spec = (.*);", page.read_text())]
    tab = chromium.open(page, before=LISTEN)
    drawn = tab.evaluate("Promise.all(drawn)")
    tab.screenshot(tmp_path / "page.png")
    assert len(drawn) == len(specs) > 0
    for (place, marks), spec in zip(drawn, specs, strict=True):
        assert marks > 1, (place, spec["title"])
    sizes = tab.evaluate(SIZES)
    assert len(sizes) == len(specs)
    assert min(sizes) > 100
    assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert tab.errors == []
    assert tab.requests == []
    assert chromium.asked == []


def test_what_a_page_does_wrong_is_noticed(chromium: Chromium, tmp_path: Path):
    """Else the tests above would prove nothing."""
    page = tmp_path / "page.html"
    page.write_text(
        '<!DOCTYPE html><img src="http://example.invalid/picture.png">'
        "<script>console.error('said'); throw new Error('thrown')</script>"
    )
    before = len(chromium.asked)
    tab = chromium.open(page)
    assert any("said" in error for error in tab.errors)
    assert any("thrown" in error for error in tab.errors)
    assert tab.requests == ["http://example.invalid/picture.png"]
    asked = chromium.asked[before:]
    del chromium.asked[before:]
    assert [line.split()[1] for line in asked] == ["http://example.invalid/picture.png"]
