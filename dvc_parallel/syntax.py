"""Whether two texts of a Python file are the same program.

They are if their syntax trees are equal apart from

- positions, comments, parentheses, quotes: all that the parser drops,
- docstrings, also those of attributes: strings that follow an assignment,
- annotations of variables in functions, which Python neither evaluates nor keeps.

All other annotations count: Python evaluates those of signatures, modules and classes, or, after
`from __future__ import annotations`, keeps them as text, and dataclasses read them.
"""

import ast
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

# Where a statement is: annotations of variables are dropped directly in a function, unless
# around it is another function whose variables they could name: then those become cells.
OUTSIDE, FUNCTION, NESTED = range(3)
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PLAIN_TYPE = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Constant,
    ast.BinOp,
    ast.BitOr,
    ast.expr_context,
)
CLASS_CELL = {"super", "__class__"}  # a method that names one of them gets a cell
NO_EFFECT = {"kind", "type_comment", "type_ignores"}
END = object()  # of a list, such as a block


class ComparisonError(ValueError):
    """A text is not a Python program; the message is part of a sentence that tells why."""


class Difference(NamedTuple):
    """The first place where two programs differ.

    Attributes:
        line: its line in the later text, from 1.
        now: what is there; empty if something was removed.
        before: what was there; empty if something was added.
    """

    line: int
    now: str
    before: str


def difference(before: bytes, after: bytes) -> Difference | None:
    """The first difference between two programs; None if they are the same.

    Raises:
        ComparisonError: one of them is no program for the Python that runs this.
    """
    outlines = zip(_outline(_parse(before)), _outline(_parse(after)), strict=False)
    for (old, old_line), (new, line) in outlines:
        if old != new:
            now = "" if new is END else _line(after, line)
            return Difference(line, now, "" if old is END else _line(before, old_line))
    return None


def _parse(text: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the text's style
            tree = ast.parse(text)
            # Finds what the parser alone lets pass, such as the annotation of a global variable.
            compile(tree, "text", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ComparisonError(f"line {error.lineno or 1}: {error.msg}") from None
    except ValueError as error:
        raise ComparisonError(str(error)) from None
    except (RecursionError, MemoryError):
        raise ComparisonError("it is nested too deeply") from None
    return tree


def _line(text: bytes, number: int) -> str:
    lines = text.splitlines()[number - 1 : number]
    return lines[0].decode("utf-8", "replace").strip() if lines else ""


def _outline(tree: ast.Module) -> Iterator[tuple[object, int]]:
    """The tree's nodes and values in order, each with its line; equal for equal programs."""
    waiting: list[tuple[Any, int, int]] = [(_without_docstring(tree.body), OUTSIDE, 1)]
    while waiting:
        part, place, line = waiting.pop()
        if isinstance(part, list):
            last = getattr(part[-1], "end_lineno", line) if part else line
            waiting.append((END, place, last))
            waiting.extend((item, place, line) for item in reversed(_without_attribute_docs(part)))
        elif isinstance(part, ast.AST):
            if place == FUNCTION and isinstance(part, ast.AnnAssign):
                part = _unannotated(part)
            line = getattr(part, "lineno", line)
            yield type(part), line
            fields = {name: getattr(part, name, None) for name in part._fields}
            if isinstance(part, DEFINITION):
                place = _place_in(part, place)
                fields["body"] = _without_docstring(part.body) or [ast.Pass(lineno=line)]
            waiting.extend(
                (value, place, line)
                for name, value in reversed(fields.items())
                if name not in NO_EFFECT
            )
        elif part is END:
            yield END, line
        else:
            yield (type(part), part), line


def _without_docstring(body: list[Any]) -> list[Any]:
    return body[1:] if body and _is_string(body[0]) else body


def _without_attribute_docs(parts: list[Any]) -> list[Any]:
    return [
        part
        for before, part in zip([None, *parts], parts, strict=False)
        if not (_is_string(part) and isinstance(before, ast.Assign | ast.AnnAssign))
    ]


def _is_string(part: Any) -> bool:
    if not isinstance(part, ast.Expr) or not isinstance(part.value, ast.Constant):
        return False
    return isinstance(part.value.value, str)


def _place_in(definition: ast.AST, place: int) -> int:
    if place != OUTSIDE or getattr(definition, "type_params", None):
        return NESTED
    return OUTSIDE if isinstance(definition, ast.ClassDef) else FUNCTION


def _unannotated(node: ast.AnnAssign) -> ast.stmt:
    for part in ast.walk(node.annotation):
        if not isinstance(part, PLAIN_TYPE):
            return node  # it may hold a `yield`, which makes the function a generator
        if isinstance(part, ast.Name) and part.id in CLASS_CELL:
            return node
    if node.value is not None:
        return ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)
    # A name without a value is local all the same.
    nothing = ast.Constant(None, lineno=node.lineno)
    return ast.AnnAssign(node.target, nothing, None, node.simple, lineno=node.lineno)
