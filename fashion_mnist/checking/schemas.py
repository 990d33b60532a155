"""JSON Schemas with which editors complete `params.yaml` and `datasets/*.yaml`, and mark mistakes.

`python -m fashion_mnist.checking.schemas` writes them: from the schema that the files are parsed
with, and from the signatures of Keras's layers and optimizers.
"""

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fashion_mnist.checking import signatures
from fashion_mnist.checking.params import Params
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.networks import CLASSES
from fashion_mnist.learning.schema import BLOCKS
from fashion_mnist.model_files.names import ACTIVATIONS, AUGMENTATIONS, LAYERS, OPTIMIZERS
from fashion_mnist.storage import files
from fashion_mnist.talk import console

Schema = dict[str, Any]

TYPES: dict[str, Schema] = {
    signatures.SWITCH: {"type": "boolean"},
    signatures.WHOLE_NUMBER: {"type": "integer"},
    signatures.NUMBER: {"type": "number"},
    signatures.FLIP: {"enum": list(signatures.FLIPS)},
    signatures.NUMBER_OR_TEXT: {"not": {"type": "boolean"}},
}
LISTS = {signatures.WHOLE_NUMBER, signatures.NUMBER}  # may also be one number a dimension


def main() -> None:
    """Write both."""
    console.takes_no_arguments(__doc__, "python -m fashion_mnist.checking.schemas")
    for path, schema in written().items():
        files.write(path, (json.dumps(schema, indent=1) + "\n").encode())
        console.say(f"wrote {path}")


def written() -> dict[Path, Schema]:
    """Each schema, by the file that it is written to."""
    return {
        Path("params.schema.json"): of_params(),
        Path("datasets/schema.json"): DataSet.model_json_schema(),
    }


def of_params() -> Schema:
    """The schema of `params.yaml`."""
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    blocks = {name: _block(name) for name in BLOCKS}
    definitions["Layer"] = _named(_each(LAYERS, keras.layers) | blocks)
    optimizers = _each(OPTIMIZERS, keras.optimizers)
    for optimizer in optimizers.values():  # a recipe names its rate
        optimizer |= {"required": ["learning_rate"], "type": "object"}
    definitions["Optimizer"] = _named(optimizers)
    definitions["Augmentation"] = _named(_each(AUGMENTATIONS, keras.layers))
    recipe = definitions["Recipe"]["properties"]
    recipe["optimizer"] = _reference("Optimizer")
    recipe["augmentation"]["items"] = _reference("Augmentation")
    schema["properties"]["architectures"]["additionalProperties"]["items"] = _reference("Layer")
    return schema


def _each(names: Iterable[str], module: Any) -> dict[str, Schema]:
    return {name: _keras(module, name) for name in names}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _named(kinds: Mapping[str, Schema]) -> Schema:
    """`Name`, where no argument is required, or `Name: {argument: value}`."""
    alone = sorted(name for name, kind in kinds.items() if not kind.get("required"))
    mapping = {
        "type": "object",
        "properties": dict(sorted(kinds.items())),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": alone}, mapping] if alone else [mapping]}


def _block(name: str) -> Schema:
    schema = BLOCKS[name].model_json_schema()
    properties = schema["properties"]
    for key in properties.keys() & {"layers", "shortcut"}:
        properties[key]["items"] = _reference("Layer")
    if "branches" in properties:
        properties["branches"]["items"]["items"] = _reference("Layer")
    return schema


def _keras(module: Any, name: str) -> Schema:
    """The arguments of one of Keras's classes."""
    cls = getattr(module, name)
    required = signatures.required(cls)
    return {
        "description": (inspect.getdoc(cls) or name).split("\n\n")[0],
        "type": "object" if required else ["object", "null"],
        "properties": {
            key: _argument(key, parameter.default, is_layer=module is keras.layers)
            for key, parameter in sorted(signatures.known(cls).items())
        },
        "required": required,
        "additionalProperties": False,
    }


def _argument(name: str, default: Any, is_layer: bool) -> Schema:
    """The values that an argument of one of Keras's classes may have."""
    if name == "activation":
        return {"enum": [*sorted(ACTIVATIONS), None]}
    wanted = signatures.expected(name, default)
    choices = [TYPES[wanted]]
    if is_layer and wanted in LISTS:
        choices.append({"type": "array", "items": TYPES[wanted]})
    if name == "units":
        choices.append({"const": CLASSES})
    if default is None:
        choices.append({"type": "null"})
    schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if isinstance(default, bool | int | float | str):
        return schema | {"default": default}
    return schema


if __name__ == "__main__":
    console.run(main)
