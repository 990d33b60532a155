"""Which edits of a Python file `--accept` takes for no change: the README's table, and more."""

import ast
import subprocess
import sys
import types
import warnings
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dvc_parallel.syntax import ComparisonError, Difference, difference
from dvc_parallel.tests.conftest import ROOT

# The edit's name in the README, whether it is accepted, and an example.
EDITS = [
    ("comment", True, "x = 1\n", "# Why.\nx = 1  # type: int\n"),
    ("coding comment", True, "x = 'é'\n", "# coding: utf-8\nx = 'é'\n"),
    ("docstring changed", True,
     'def f():\n    "Old."\n    g()\n', 'def f():\n    "New."\n    g()\n'),
    ("docstring in place of `pass`", True, "class E: pass\n", 'class E:\n    """Why."""\n'),
    ("string below an attribute", True,
     "class C:\n    x = 1\n", 'class C:\n    x = 1\n    "Unit."\n'),
    ("string elsewhere", False, "f()\ng()\n", "f()\n'note'\ng()\n"),
    ("black: lines, indentation, blank lines", True, "f(a,\n  b)\n", "\n\nf(\n    a, b\n)\n"),
    ("quotes", True, "x = 'a' f'{y}'\n", 'x = "a" f"{y}"\n'),
    ("trailing comma", True, "x = [1, 2]\n", "x = [\n    1,\n    2,\n]\n"),
    ("parentheses", True, "x = a * b + c\nassert x, 'no'\n", "x = (a * b) + c\nassert x, ('no')\n"),
    ("strings joined", True, "x = 'a' 'b'\n", "x = 'ab'\n"),
    ("number written otherwise", True, "x = 1000, 0xFF, 1e3\n", "x = 1_000, 0xff, 1000.0\n"),
    ("`;` and `class C():`", True,
     "class C():\n    x = 1; y = 2\n", "class C:\n    x = 1\n    y = 2\n"),
    ("annotation of a function's variable", True,
     "def f():\n    x = 1\n", "def f():\n    x: int = 1\n"),
    ("annotation of `self.x` in a method", True,
     "class C:\n    def f(self): self.x = 1\n", "class C:\n    def f(self): self.x: int = 1\n"),
    ("annotation in a function in a function", False,
     "def f():\n    T = int\n    def g(): x = 1\n",
     "def f():\n    T = int\n    def g(): x: T = 1\n"),
    ("annotation in a signature", False,
     "def f(x): return x\n", "def f(x: int) -> int: return x\n"),
    ("annotation in a class or module", False,
     "class C:\n    x = 1\n", "class C:\n    x: int = 1\n"),
    ("the same after `from __future__ import annotations`", False,
     "from __future__ import annotations\nclass C:\n    x: int = 1\n",
     "from __future__ import annotations\nclass C:\n    x: float = 1\n"),
    ("isort: imports in another order", False, "import b\nimport a\n", "import a\nimport b\n"),
    ("added import", False, "import a\n", "import a\nimport b\n"),
    ("import under `if TYPE_CHECKING`", False,
     "if TYPE_CHECKING:\n    import a\n", "if TYPE_CHECKING:\n    import b\n"),
    ("renamed local variable", False, "def f():\n    x = 1\n", "def f():\n    y = 1\n"),
    ("functions in another order", False,
     "def f(): pass\ndef g(): pass\n", "def g(): pass\ndef f(): pass\n"),
    ("changed default", False, "def f(x=1): pass\n", "def f(x=2): pass\n"),
    ("changed constant", False, "x = 0.1\n", "x = 0.2\n"),
    ("`1` to `1.0` or `True`", False, "x = 1, 1\n", "x = 1.0, True\n"),
    ("constant computed beforehand", False, "x = 60 * 60\n", "x = 3600\n"),
    ("changed assert", False, "assert x\n", "assert x, 'why'\n"),
    ("spaces in `f\"{x=}\"`", False, "f'{x=}'\n", "f'{x = }'\n"),
    ("spaces in a string", False, "x = '''a\n  b'''\n", "x = '''a\nb'''\n"),
    ("`not x in y` to `x not in y`", False, "z = not x in y\n", "z = x not in y\n"),
    ("added `pass` or `else: pass`", False, "if x: f()\n", "if x: f()\nelse: pass\n"),
    ("syntax error, before or after", False, "x = 1\n", "x = = 1\n"),
]  # fmt: skip


def accepts(before: str | bytes, after: str | bytes) -> bool:
    texts = [text.encode() if isinstance(text, str) else text for text in (before, after)]
    try:
        return difference(*texts) is None
    except ComparisonError:
        return False


def test_an_edit_of_the_readmes_table_is_accepted_in_both_directions_or_in_none() -> None:
    lines = (ROOT / "dvc_parallel/README.md").read_text(encoding="utf-8").splitlines()
    table = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines]
    for name, accepted, before, after in EDITS:
        assert accepts(before, after) == accepts(after, before) == accepted, name
        assert (name, "yes" if accepted else "no") in table


SUBTLE = [
    ("def f():\n    x = 1\n", "def f():\n    x: (yield) = 1\n"),  # a generator now
    ("class C:\n    def f(self): x = 1\n", "class C:\n    def f(self): x: super = 1\n"),  # a cell
    ("def f():\n    global x\n    x = 1\n", "def f():\n    global x\n    x: int = 1\n"),  # an error
    ("def f():\n    print(x)\n", "def f():\n    x: int\n    print(x)\n"),  # a local variable now
    ("x = -0.0\n", "x = 0.0\n"),
    ("x = 'é'\n", b"# coding: latin-1\nx = '\xc3\xa9'\n"),
    ("if x:\n    f()\n    g()\n", "if x:\n    f()\ng()\n"),
    ("try: f()\nfinally: pass\n", "f()\n"),
    ("x = 1", "x = 1\n\0"),
    ("x = 1", "x = " + "(" * 500 + "1" + ")" * 500),
]  # fmt: skip


def test_a_subtle_change_is_none_of_form() -> None:
    for before, after in SUBTLE:
        assert not accepts(before, after), after
        assert not accepts(after, before), after


DIFFERENCES = [
    ("x = 1\ny = 2\n", "# Two.\nx = 1\ny = 3\n", Difference(3, "y = 3", "y = 2")),
    ("import b\n", "import a\nimport b\n", Difference(1, "import a", "import b")),
    ("f()\n", "f()\ng()\n", Difference(2, "g()", "")),
    ("def f():\n    g()\n    h()\n", "def f():\n    g()  # no h\n", Difference(2, "", "h()")),
    ("f(\n    a=1,\n    b=2,\n)\n", "f(\n    a=1,\n    b=3,\n)\n", Difference(3, "b=3,", "b=2,")),
]  # fmt: skip


def test_names_the_first_difference() -> None:
    for before, after, found in DIFFERENCES:
        assert difference(before.encode(), after.encode()) == found


SOURCES = {
    path: path.read_bytes()
    for path in sorted((ROOT / "dvc_parallel").rglob("*.py"))
    if 500 < path.stat().st_size < 8000
}


def test_what_a_formatter_makes_of_a_file_is_accepted(tmp_path: Path) -> None:
    for number, content in enumerate(SOURCES.values()):
        (tmp_path / f"{number}.py").write_bytes(content)
    style = "line-length = 50\nindent-width = 2\n[format]\nquote-style = 'single'\n"
    (tmp_path / "ruff.toml").write_text(style)
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", "."]
    subprocess.run(ruff, cwd=tmp_path, check=True)
    for number, content in enumerate(SOURCES.values()):
        formatted = (tmp_path / f"{number}.py").read_bytes()
        assert formatted != content
        assert difference(content, formatted) is None
        assert difference(content, ast.unparse(ast.parse(content)).encode()) is None


def program(text: bytes) -> types.CodeType:
    """The file's bytecode, with the same line number and docstring everywhere."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            node.body.insert(0, ast.Expr(ast.Constant("")))
        for name in ("lineno", "end_lineno"):
            if name in node._attributes:
                setattr(node, name, 1)
        for name in ("col_offset", "end_col_offset"):
            if name in node._attributes:
                setattr(node, name, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(ast.fix_missing_locations(tree), "text", "exec", dont_inherit=True)


CHARACTERS = "\n\t #\"'()[]{},:;=+-*.0123456789abefinorstux_\\é"
WORDS = [
    "pass",
    "return",
    "yield",
    "not ",
    "x",
    "0",
    "None",
    '"""Doc."""',
    "# note",
    ": int",
    "else:",
]


@st.composite
def edited_text(draw: st.DrawFn, text: bytes) -> bytes:
    """The file after a few edits of lines and characters."""
    lines = text.decode().splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        column = draw(st.integers(0, len(line)))
        kind = draw(st.sampled_from(["insert", "word", "delete", "drop", "copy", "swap", "indent"]))
        if kind == "insert":
            lines[at] = line[:column] + draw(st.sampled_from(CHARACTERS)) + line[column:]
        elif kind == "word":
            indent = line[: len(line) - len(line.lstrip())]
            lines.insert(at, f"{indent}{draw(st.sampled_from(WORDS))}\n")
        elif kind == "delete":
            lines[at] = line[:column] + line[column + 1 :]
        elif kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "copy":
            lines.insert(at, line)
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], line
        else:
            lines[at] = draw(st.sampled_from(["    ", " ", ""])) + line.lstrip(" ")
    return "".join(lines).encode()


def constants(value: object) -> st.SearchStrategy[object]:
    same = st.sampled_from([value, 0, 1, 1.0, True, None, "", b"", ..., 1j, -1])
    return same | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)


@st.composite
def edited_tree(draw: st.DrawFn, text: bytes) -> bytes:
    """The file after a few edits of its syntax tree, which also lose its form and comments."""
    tree = ast.parse(text)
    for _ in range(draw(st.integers(1, 3))):
        nodes = list(ast.walk(tree))
        node = draw(st.sampled_from(nodes))
        kind = draw(
            st.sampled_from(["constant", "name", "annotation", "statements", "swap", "own"])
        )
        if kind == "constant":
            node = draw(st.sampled_from([n for n in nodes if isinstance(n, ast.Constant)]))
            node.value = draw(constants(node.value))
        elif kind == "name":
            node = draw(st.sampled_from([n for n in nodes if isinstance(n, ast.Name)]))
            node.id = draw(st.sampled_from(["x", "self", "super", node.id]))
        elif kind == "annotation":
            annotate(tree, draw(st.integers(0, 30)), draw(st.sampled_from(ANNOTATIONS)))
        else:
            blocks = [getattr(n, f) for n in nodes for f in ("body", "orelse", "finalbody")
                      if isinstance(getattr(n, f, None), list)]  # fmt: skip
            block = draw(st.sampled_from(blocks))
            at = draw(st.integers(0, len(block)))
            if kind == "statements":
                statement = draw(st.sampled_from(["pass", '"Doc."', "...", "x: int", "x: int = 1"]))
                block.insert(at, ast.parse(statement).body[0])
            elif kind == "swap" and block:
                block.insert(0, block.pop())
            elif len(block) > 1:
                del block[at - 1]
    try:
        return ast.unparse(ast.fix_missing_locations(tree)).encode()
    except (ValueError, TypeError, AttributeError, UnicodeEncodeError):
        assume(False)
        raise


ANNOTATIONS = ["int", "list[str]", "T", "'text'", "super", "(yield)", "lambda: x", "a | None"]


def annotate(tree: ast.AST, at: int, annotation: str) -> None:
    """Give the `at`-th assignment an annotation, or take it away."""
    count = 0
    for node in ast.walk(tree):
        for block in (value for _, value in ast.iter_fields(node) if isinstance(value, list)):
            for index, part in enumerate(block):
                plain = isinstance(part, ast.Assign) and len(part.targets) == 1
                if not plain and not isinstance(part, ast.AnnAssign):
                    continue
                count += 1
                if count != at + 1:
                    continue
                if isinstance(part, ast.AnnAssign):
                    if part.value is not None:
                        block[index] = ast.Assign([part.target], part.value)
                elif isinstance(part.targets[0], ast.Name | ast.Attribute | ast.Subscript):
                    simple = int(isinstance(part.targets[0], ast.Name))
                    kind = ast.parse(annotation, mode="eval").body
                    block[index] = ast.AnnAssign(part.targets[0], kind, part.value, simple)
                return


@given(st.data())
@settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_never_accepts_what_changes_bytecode(data: st.DataObject) -> None:
    before = data.draw(st.sampled_from(list(SOURCES.values())))
    after = data.draw(edited_text(before) | edited_tree(before))
    if accepts(before, after):
        assert program(before) == program(after)
