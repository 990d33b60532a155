"""Which arguments Keras's layers and optimizers take, and of what type."""

import inspect
from collections.abc import Sequence
from inspect import Parameter
from typing import Any

# What Keras checks too late, or not at all.
WHOLE = {"dilation_rate", "ema_overwrite_frequency", "filters", "gradient_accumulation_steps"}
WHOLE |= {"groups", "kernel_size", "key_dim", "num_heads", "pool_size", "strides", "units"}
WHOLE |= {"value_dim"}
NUMBERS = {"clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor", "max_value"}
NUMBERS |= {"weight_decay"}  # all of them None by default
TEXTS = {"activation", "bias_axes", "equation"}  # without a default, or not a number
SHARES = {"adam_beta_1", "adam_beta_2", "beta_1", "beta_2", "ema_momentum", "momentum"}
SHARES |= {"renorm_momentum", "rho"}  # of what was before, in a moving average
NOT_NEGATIVE = {"epsilon", "epsilon_1", "epsilon_2", "initial_accumulator_value"}
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")

# What an argument must be.
SWITCH = "true or false"
WHOLE_NUMBER = "a whole number"
NUMBER = "a number"
FLIP = f"one of {', '.join(FLIPS)}"
NUMBER_OR_TEXT = "a number or text"


def known(cls: type) -> dict[str, Parameter]:
    """The arguments of a class of Keras, those of its bases included, by name."""
    return {
        name: parameter
        for base in reversed(inspect.getmro(cls))
        if base.__module__.startswith("keras") and "__init__" in vars(base)
        for name, parameter in _parameters(vars(base)["__init__"]).items()
    }


def required(cls: type) -> list[str]:
    """The arguments of a class of Keras that have no default."""
    own = _parameters(cls.__init__)  # type: ignore[misc]
    return [name for name, each in own.items() if each.default is Parameter.empty]


def expected(name: str, default: Any) -> str:
    """What an argument with this default must be."""
    if isinstance(default, bool):
        return SWITCH
    if name in WHOLE:
        return WHOLE_NUMBER
    is_number = isinstance(default, int | float) or default is Parameter.empty
    if name in NUMBERS or (is_number and name not in TEXTS):
        return NUMBER
    return FLIP if name == "mode" else NUMBER_OR_TEXT


def misses(name: str, default: Any, values: Sequence[Any]) -> str | None:
    """What an argument with this default must be, if one of `values` is something else."""

    def are(*types: type) -> bool:
        return all(type(each) in types for each in values)

    wanted = expected(name, default)
    if default is None and are(type(None)):
        return None
    if wanted == NUMBER and are(int, float):
        if name in SHARES and not all(0 <= each < 1 for each in values):
            return "at least 0 and less than 1"
        if name in NOT_NEGATIVE and min(values) < 0:
            return "at least 0"
        return None
    fits = {
        SWITCH: are(bool),
        WHOLE_NUMBER: are(int),
        NUMBER: are(int, float),
        FLIP: bool(values) and values[0] in FLIPS,
        NUMBER_OR_TEXT: bool not in map(type, values),
    }
    return None if fits[wanted] else wanted


def _parameters(function: Any) -> dict[str, Parameter]:
    """The named parameters of an `__init__`."""
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }
