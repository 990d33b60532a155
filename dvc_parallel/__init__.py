"""Runs the stages of a DVC pipeline side by side, with the results of `dvc repro`."""
