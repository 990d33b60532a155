"""Seconds an epoch of PyTorch's eager loop on the network `improved`, batches of 128.

It runs with the Python of .venv/torch, in which `make bench` installs PyTorch. As fast as eager
PyTorch gets on a processor: channels last, bfloat16 where the processor has it, fused Adam.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from time import monotonic

import numpy as np
import torch
from torch import nn

BATCH, IMAGES, EPOCHS = 128, 48_000, 3  # the first epoch warms up


def network(rates: list[float]) -> nn.Sequential:
    """Images float32 (N, 1, 28, 28) to ten values; `rates` are those of its three dropouts."""
    first, second, third = map(nn.Dropout, rates)
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), first),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), second),
        *(nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), third, nn.Linear(128, 10)),
    ).to(memory_format=torch.channels_last)


def main() -> None:
    """Train, and print the seconds of a typical epoch and PyTorch's version, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="train.npz")
    parser.add_argument("threads", type=int)
    parser.add_argument("rates", type=float, nargs=3, help="of dropout")
    arguments = parser.parse_args()
    torch.manual_seed(101)
    torch.set_num_threads(arguments.threads)
    has_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with np.load(arguments.data, allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays["images"][:IMAGES, None])
        labels = torch.from_numpy(arrays["labels"][:IMAGES].astype(np.int64))
    model = network(arguments.rates)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    loss = nn.CrossEntropyLoss()
    took = []
    for _ in range(EPOCHS):
        started = monotonic()
        for rows in torch.randperm(len(images)).split(BATCH):
            batch = (images[rows].float() / 255).to(memory_format=torch.channels_last)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16):
                outputs = model(batch)
            loss(outputs.float(), labels[rows]).backward()
            optimizer.step()
        took.append(monotonic() - started)
    sys.stdout.write(json.dumps({"version": torch.__version__, "seconds": median(took[1:])}))


if __name__ == "__main__":
    main()
