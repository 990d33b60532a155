"""The last run's results beside the original's, as text."""

from fashion_mnist.checking import params
from fashion_mnist.reporting import metrics
from fashion_mnist.storage import outs
from fashion_mnist.talk import results


def text() -> str:
    """The table and the final scores.

    Raises:
        InputError: a result is missing or damaged.
    """
    config = params.load()
    names = [outs.BASELINE, *outs.candidates(config.train.splits)]
    models = {name: metrics.read(outs.files(name).metrics, metrics.Model) for name in names}
    best = metrics.read(outs.SELECTION, metrics.Selection)["best"]
    scores = metrics.read(outs.TEST_SCORES, metrics.TestScores)
    validation = {name: model["validation"] for name, model in models.items()}
    table = results.table(validation, best, config.dataset)
    return f"{table}\n{results.final_scores(scores, config.dataset)}"
