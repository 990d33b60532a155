"""The page of `dvc plots show`, as a browser without a network shows it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.browser import Chromium
from tests.conftest import ROOT, Workspace

# Keeps what the page's calls of vegaEmbed promise: how many marks are drawn, and what is written.
LISTEN = """
window.drawn = [];
let embed;
const marks = node => (node.items || []).reduce(
  (sum, item) => sum + marks(item), node.role == "mark" && node.marktype != "group"
    ? node.items.length : 0);
const texts = node => [
  ...(node.marktype == "text" ? node.items.map(item => String(item.text)) : []),
  ...(node.items || []).flatMap(texts)];
Object.defineProperty(window, "vegaEmbed", {
  get: () => embed,
  set: original => {
    embed = (place, ...others) => {
      const promise = original(place, ...others);
      drawn.push(promise.then(({view}) => {
        const root = view.scenegraph().root;
        return [marks(root), texts(root)];
      }));
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

GROUPS = ("baseline", "candidates (mean and range)")
LOSS, ACCURACY = ({"epoch", y} for y in ("cross-entropy (nats)", "accuracy (fraction)"))
LABELS = [  # of each plot: its title, its axes, and its legend
    {"Loss by epoch", *LOSS, *GROUPS, "training", "validation"},
    {"Accuracy by epoch", *ACCURACY, *GROUPS, "training", "validation"},
    {"Confusion matrix of the best model, test images", "true class", "predicted class"},
    {"F1 of the best model by class, test images", "F1", "class"},
]


@pytest.fixture(scope="module")
def project(finished_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the page's template, and a training whose figures differ from git's."""
    workspace = finished_workspace.copy(tmp_path_factory.mktemp("page") / "project")
    assert workspace.run("python", "-m", "fashion_mnist.reporting.plots_page").returncode == 0
    table = workspace.path / "plots/training.csv"
    table.write_text(re.sub(r"(?<=,)0\.\d+", "0.5", table.read_text()))
    return workspace


def plots_page(project: Workspace, command: str) -> Path:
    """The page that DVC writes."""
    done = project.run("dvc", "plots", command, "-o", command)
    assert done.returncode == 0, done.stdout + done.stderr
    return project.path / command / "index.html"


@pytest.fixture(scope="module")
def page(project: Workspace) -> Path:
    return plots_page(project, "show")


def test_every_plot_is_on_the_page_and_no_other(page: Path):
    html = page.read_text()
    specs = [json.loads(text) for text in re.findall(r"var spec = (.*);", html)]
    top = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    titles = [next(iter(plot.values()))["title"] for plot in top if isinstance(plot, dict)]
    shown = [
        spec["title"] if isinstance(spec["title"], str) else spec["title"]["text"] for spec in specs
    ]
    assert sorted(shown) == sorted(titles)
    assert all(spec["data"]["values"] for spec in specs)
    assert html.count('<img src="static/') == sum(isinstance(plot, str) for plot in top)


@pytest.mark.parametrize("command", ["show", "diff"])
def test_every_plot_is_drawn_without_errors_or_requests(
    project: Workspace, page: Path, command: str, chromium: Chromium
):
    tab = chromium.open(page if command == "show" else plots_page(project, command), before=LISTEN)
    drawn = tab.evaluate("Promise.all(drawn)")
    assert len(drawn) == len(LABELS)
    for (marks, texts), labels in zip(drawn, LABELS, strict=True):
        assert marks > 1
        assert labels <= set(texts)
    sizes = tab.evaluate(SIZES)
    assert len(sizes) == len(drawn)
    assert min(sizes) > 100
    assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert tab.errors == []
    assert tab.requests == []


def test_what_a_page_does_wrong_is_noticed(chromium: Chromium, tmp_path: Path):
    """Otherwise the tests above would prove nothing."""
    page = tmp_path / "page.html"
    page.write_text(
        '<!DOCTYPE html><img src="http://example.invalid/picture.png">'
        "<script>console.error('said'); throw new Error('thrown')</script>"
    )
    tab = chromium.open(page)
    assert any("said" in error for error in tab.errors)
    assert any("thrown" in error for error in tab.errors)
    assert tab.requests == ["http://example.invalid/picture.png"]
