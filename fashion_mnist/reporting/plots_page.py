"""The page that `dvc plots show` fills: it contains its scripts, so that it works offline.

`python -m fashion_mnist.reporting.plots_page` writes it and has this clone's DVC use it.
"""

import subprocess
import sys
from pathlib import Path

import vl_convert

from fashion_mnist.errors import InputError
from fashion_mnist.storage import files
from fashion_mnist.talk import console

TEMPLATE = Path(".dvc/plots.html")

# DVC replaces {plot_divs} and {refresh_tag}. Without {scripts}, it inserts no CDN links.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{refresh_tag}
<title>Plots</title>
<script>%s</script>
<style>
  :root { --paper: #fff; --ink: #1c2126; --soft: #59636e; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #14181c; --ink: #e6e9ec; --soft: #9aa4ae; }
  }
  body { font-family: system-ui, sans-serif; margin: 1rem; }
  body { color: var(--ink); background: var(--paper); }
  main { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
  main > div { border: none !important; max-width: 100%%; }
  main .vega-embed { max-width: 100%%; }
  main .vega-embed svg.marks { display: block; max-width: 100%%; height: auto; }
  /* On a phone, a plot scrolls rather than shrinks until nobody can read it. */
  main > div { overflow-x: auto; }
  main .vega-embed svg.marks { min-width: 30rem; }
  main img { max-width: 100%%; width: 64rem; }
  main p { margin: 0; color: var(--soft); font-size: 0.8rem; }
</style>
</head>
<body>
<main>
{plot_divs}
</main>
</body>
</html>
"""


# SVG scales down to a phone's width; DVC calls vegaEmbed without options.
EMBED = """
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const config = {background: "transparent", axis: {gridColor: "#343b42"}};
const looks = {renderer: "svg", ...(dark && {theme: "dark", config})};
window.vegaEmbed = (place, spec, options) => vegaEmbed(place, spec, {...looks, ...options});
"""


def template() -> str:
    """The page before DVC fills it, with Vega, Vega-Lite and Vega-Embed in it."""
    scripts = vl_convert.javascript_bundle(EMBED)
    # Otherwise the browser would end the script there, and DVC would replace {scripts}.
    scripts = scripts.replace("</script", "<\\/script").replace("{scripts}", "{ scripts}")
    return PAGE % scripts


def main() -> None:
    """Write the template and name it in .dvc/config.local, which is not in git."""
    console.takes_no_arguments(__doc__, "python -m fashion_mnist.reporting.plots_page")
    if not Path(".dvc").is_dir():
        raise InputError(".dvc is missing: run this from the project's folder")
    page = template()
    name = TEMPLATE.relative_to(".dvc").as_posix()
    command = [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", name]
    if subprocess.run(command, check=False).returncode:
        raise InputError("`dvc config` failed, for the reason above")
    files.write(TEMPLATE, page.encode())  # last: where the file exists, make runs this no more
    console.say(f"wrote {TEMPLATE}: `dvc plots show` now writes a page that works offline")


if __name__ == "__main__":
    console.run(main)
