"""Write the benchmark's page: tables and a picture from its results, then the notes.

Run it after an edit of the notes; `make bench` runs it after a measurement.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fashion_mnist.reporting.markdown import table
from fashion_mnist.scoring import figures
from fashion_mnist.storage import files, records
from fashion_mnist.talk import console

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
RATIOS = {
    "two_threads": "a step of `improved` on one thread / on two (higher is better)",
    "epoch_pytorch": "an epoch / PyTorch's, the worse of one thread and two",
    "step_limit": "a step / its roofline, the worse of `improved` and `deep-residual`",
    "time_to_accuracy": "one model, from the start to the saved file / the original's 50 epochs",
    "peak_memory": "peak memory of that model and the pipeline / the original's, above loading",
    "pipeline_seconds": "the whole pipeline (s)",
    "repro_parallel": "`make repro` / serial `dvc repro`",
    "repro_original": "`make repro` / the original's four models",
    "experiment": "one architecture by `dvc_parallel -S` / by `dvc exp run -S`",
    "two_jobs": "throughput of two jobs / of one (higher is better)",
}


def main() -> None:
    """Write README.md and times.png."""
    console.takes_no_arguments(__doc__, "python -m benchmarks.page")
    write(records.read_json(RESULTS))
    console.say("wrote benchmarks/README.md and benchmarks/times.png")


def write(measured: Mapping[str, Any]) -> None:
    """Write both from what was measured."""
    files.write(HERE / "README.md", text(measured).encode())
    figures.save(picture(measured), HERE / "times.png")


def text(measured: Mapping[str, Any]) -> str:
    """The page, from what was measured, and the notes."""
    growth = HERE / "growth.json"
    parts = [
        _head(measured),
        "![Seconds to train one model, and for one epoch](times.png)",
        _ratios(measured["ratios"]),
        _figures(measured),
        _growth(measured["jobs"], records.read_json(growth) if growth.exists() else {}),
        (HERE / "notes.md").read_text(encoding="utf-8").strip(),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def steps(measured: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was measured of steps on all cores."""
    return measured["steps"][str(measured["machine"]["cores"])]


def roofline(measured: Mapping[str, Any]) -> float:
    """Seconds of an epoch of 48,000 images, 375 steps, if each took no longer than its limit."""
    return 375 * sum(steps(measured)["limit_seconds"]["improved"].values())


def picture(measured: Mapping[str, Any]) -> Figure:
    """Bars: seconds to train one model to the original's accuracy, and for one epoch."""
    old, new = measured["original"], measured["one_model"]
    panels = {
        "Seconds to train one model": {
            "the original,\nall 50 epochs": old["seconds_of_50_epochs"],
            "the original, until it\nreaches 91.33%": old["seconds_to_first_reach"],
            f"this project\n({new['test_accuracy']:.2%})": new["seconds"],
        },
        "Seconds for one epoch of 48,000 images": {
            "the original": old["seconds_an_epoch"],
            "PyTorch, eager": _pytorch_seconds(measured),
            "this project": steps(measured)["epoch_seconds"],
            "its roofline": roofline(measured),
        },
    }
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (title, bars) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        known = {name: seconds for name, seconds in bars.items() if seconds}
        colors = [figures.TRAINING if "project" in name else "#999999" for name in known]
        drawn = axes.barh(list(known), list(known.values()), color=colors)
        axes.bar_label(drawn, fmt="%.0f" if max(known.values()) > 100 else "%.1f", padding=3)
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.set_title(title, fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _head(measured: Mapping[str, Any]) -> str:
    machine = measured["machine"]
    versions = ", ".join(f"{k} {machine[k]}" for k in ("python", "tensorflow", "keras", "dvc"))
    how = (
        "Everything was run out (`make bench-full`)."
        if measured["full"]
        else "`make bench`: the original's fifty epochs and its other models are extrapolated "
        "from three epochs; the whole pipeline, from a run on 12,000 images for two epochs, with "
        "training stages in parallel as the runner schedules them."
    )
    return (
        "# Benchmark\n\n"
        f"Measured by this project's code on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}; {versions}. {how} "
        f"The benchmark took {measured['seconds'] / 60:.0f} minutes. The original is Keras `fit` "
        "on arrays, batches of 32, Adam 0.001. The original, this project and PyTorch train the "
        "network `improved`, with one exception: the model that is timed from start to saved file "
        f"is the comparison's `{measured['one_model']['row']}`. PyTorch's loop is eager, in "
        "channels-last order, with bfloat16 where the processor has it and fused Adam; its network "
        "drops out as much as this project's."
    )


def _pytorch_seconds(measured: Mapping[str, Any]) -> float | None:
    epoch = measured["pytorch"][str(measured["machine"]["cores"])]
    return epoch and epoch["seconds"]


def _ratios(ratios: Mapping[str, float | None]) -> str:
    rows = [
        [f"`{key}`", what, "not measured" if ratios[key] is None else f"{ratios[key]:.3f}"]
        for key, what in RATIOS.items()
    ]
    grid = table(["ratio", "what", "measured"], rows)
    of_one_run = "Both sides of a ratio are from the same run; `pipeline_seconds` is a time."
    return f"## Ratios\n\n{of_one_run}\n\n{grid}"


def _figures(measured: Mapping[str, Any]) -> str:
    old, new, whole = (measured[key] for key in ("original", "one_model", "pipeline"))
    first = old["seconds_to_first_reach"]
    rows = [
        ["the original, one model, 50 epochs", f"{old['seconds_of_50_epochs']:.0f} s"],
        [
            "the original until it first reaches 91.33% on the test set",
            f"{first:.0f} s, epoch {old['epoch_of_first_reaching']}" if first else "not measured",
        ],
        [
            f"this project, one `{new['row']}` model on {new['threads']} threads "
            f"({new['test_accuracy']:.2%} on test, mean of {new['seeds']} seeds)",
            f"{new['seconds']:.1f} s, of which training {new['training_seconds']:.1f} s",
        ],
        ["the original, an epoch, and its validation", f"{old['seconds_an_epoch']:.1f} s"],
        *(row for count in measured["steps"] for row in _speed(measured, count)),
        [
            "the memory's bandwidth",
            f"{steps(measured)['bytes_a_second'] / 1e9:.0f} GB/s",
        ],
        ["the original's whole program, four models", f"{old['seconds_of_program']:.0f} s"],
        ["fetch and preprocess, data at hand", f"{new['preparation_seconds']:.1f} s"],
        ["an unchanged pipeline", f"{whole['unchanged_seconds']:.2f} s"],
        ["`dvc status`", f"{whole['status_seconds']:.2f} s"],
        [
            "memory that loading TensorFlow takes",
            f"{measured['import_peak_bytes'] / 2**20:.0f} MiB",
        ],
        ["peak memory of the original", f"{old['peak_bytes'] / 2**20:.0f} MiB"],
        [f"peak memory of training `{new['row']}`", f"{new['peak_bytes'] / 2**20:.0f} MiB"],
        ["peak memory of the pipeline", f"{whole['peak_bytes'] / 2**20:.0f} MiB"],
        ["peak memory of preprocess", f"{new['preparation_peak_bytes'] / 2**20:.0f} MiB"],
    ]
    return "## Figures\n\n" + table(["what", "measured"], rows)


def _speed(measured: Mapping[str, Any], count: str) -> Iterator[list[str]]:
    """Rows of what was measured with so many threads."""
    threads = f"{count} thread{'s' * (count != '1')}"
    found, pytorch = measured["steps"][count], measured["pytorch"][count]
    yield [f"this project, an epoch, {threads}", f"{found['epoch_seconds']:.1f} s"]
    if pytorch:
        name = f"PyTorch {pytorch['version']}, an epoch, {threads}"
        yield [name, f"{pytorch['seconds']:.1f} s"]
    for name, seconds in found["step_seconds"].items():
        limits = found["limit_seconds"][name]
        what = (
            f"a step of `{name}`, {threads}; its roofline: convolutions and products, and bytes "
            "moved"
        )
        figures = [seconds, sum(limits.values()), limits["multiplying"], limits["moving"]]
        step, *limit = (f"{1e3 * figure:.1f}" for figure in figures)
        yield [what, f"{step} ms; {limit[0]} = {limit[1]} + {limit[2]} ms"]


def _growth(jobs: Mapping[str, float], growth: Mapping[str, Mapping[str, float]]) -> str:
    rows = [["two splits of 7,500 images", f"{n} at a time", f"{s:.1f} s"] for n, s in jobs.items()]
    for key, what in (
        ("splits", "splits of 7,500 images, all cores"),
        ("images", "images in one split"),
    ):
        rows += [[what, f"{int(n):,}", f"{s:.1f} s"] for n, s in growth.get(key, {}).items()]
    return (
        "## How cost grows\n\nAn epoch of each split, start-up included. The first two rows are "
        "from `python -m benchmarks.run`,\nthe others from `python -m benchmarks.growth`, at "
        "another time.\n\n" + table(["of", "number", "measured"], rows)
    )


if __name__ == "__main__":
    console.run(main)
