"""How the time of training grows with splits and images; an epoch of each split.

Writes benchmarks/growth.json. The machine must be idle.
"""

import tempfile
from pathlib import Path

from benchmarks.run import CORES, ROOT, training_seconds
from fashion_mnist.storage import records
from fashion_mnist.talk import console

RESULTS = ROOT / "benchmarks/growth.json"
SPLITS = (1, 2, 4, 8)  # of 7,500 images, on all cores
IMAGES = (7_500, 15_000, 30_000, 45_000, 60_000)  # of one split


def main() -> None:
    """Measure, and write the results."""
    console.takes_no_arguments(__doc__, "python -m benchmarks.growth")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = {
            "splits": {str(n): training_seconds(folder, 7_500, n, CORES) for n in SPLITS},
            "images": {str(n): training_seconds(folder, n, 1, 1) for n in IMAGES},
        }
    records.write_json(RESULTS, measured)
    console.say(f"wrote {RESULTS}: {measured}")


if __name__ == "__main__":
    console.run(main)
