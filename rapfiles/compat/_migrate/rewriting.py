"""Rewriting the imports of aiofiles in one file, and finding what a person has to change.

The file is parsed to find the places; the changes are made in its text, so that all else stays as it is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, ParentNodeProvider, PositionProvider

from . import names

# What a plain `import aiofiles` becomes.
_WHOLE = f"{names.OURS} as {names.THEIRS}"
_IN_STRING = re.compile(r"aiofiles(\.\w+)*")
_IN_ANNOTATION = re.compile(r"(?<![\w.])aiofiles\b")


class Note(NamedTuple):
    """Something to tell about a line."""

    line: int
    text: str


class Outcome(NamedTuple):
    """The new text of a file, what was changed, and what was left."""

    text: str
    changes: list[Note]
    left: list[Note]


class _Edit(NamedTuple):
    # Offsets into the text as UTF-8.
    start: int
    end: int
    text: str


def rewrite(text: str) -> Outcome:
    """Rewrite the imports in the text of a file.

    Raises:
        SyntaxError: It is not Python, or not such as can be parsed here.
    """
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise SyntaxError(f"line {error.raw_line}: {error.message}") from None
    if module.code != text:
        raise SyntaxError("its line ends or form feeds are such as the parser does not keep")
    content = text.encode()
    finder = _Finder(content)
    MetadataWrapper(module, unsafe_skip_copy=True).visit(finder)
    for edit in sorted(finder.edits, reverse=True):
        content = content[: edit.start] + edit.text.encode() + content[edit.end :]
    return Outcome(content.decode(), sorted(finder.changes), sorted(finder.left))


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (ByteSpanPositionProvider, PositionProvider, ParentNodeProvider)

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content
        self.edits: list[_Edit] = []
        self.changes: list[Note] = []
        self.left: list[Note] = []
        self._annotations = 0

    # Imports.

    def visit_Import(self, node: cst.Import) -> None:  # noqa: N802
        edits: list[_Edit] = []
        bound: list[str] = []
        for alias in node.names:
            dotted = alias.evaluated_name
            if not names.is_theirs(dotted):
                bound.append(_alias(alias))
                continue
            if not names.is_module(names.ours(dotted)):
                self._leave(node, f"there is no module {names.ours(dotted)}")
                return
            # A module without a name of its own binds `aiofiles`, which has all the others in it.
            own = alias.evaluated_alias
            new = _WHOLE if own is None else f"{names.ours(dotted)} as {own}"
            if new not in bound:
                bound.append(new)
            edits.append(self._edit(alias.name if alias.asname is None else alias, new))
        if not edits:
            return
        if bound == [_WHOLE] and self._is_bound_before(node):
            self.edits.append(self._line_of(node))
            self._change(node, f"removed, since {_WHOLE} is imported above")
            return
        if len(bound) < len(node.names):
            edits = [self._edit(node, "import " + ", ".join(bound))]
        self.edits += edits
        self._change(node, "import " + ", ".join(bound))

    def _is_bound_before(self, node: cst.Import) -> bool:
        """Whether the import is a line of its own, and a line before it in the same block does the same."""
        line = self._parent(node)
        if (
            not isinstance(line, cst.SimpleStatementLine)
            or len(line.body) > 1
            or line.trailing_whitespace.comment
        ):
            return False
        block: Any = self._parent(line)
        for before in block.body:
            if before is line:
                return False
            if isinstance(before, cst.SimpleStatementLine):
                for statement in before.body:
                    if isinstance(statement, cst.Import) and any(
                        names.is_theirs(alias.evaluated_name) and alias.asname is None
                        for alias in statement.names
                    ):
                        return True
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:  # noqa: N802
        if node.relative or node.module is None:
            return
        dotted = _dotted(node.module)
        if not names.is_theirs(dotted):
            return
        module = names.ours(dotted)
        if not names.is_module(module):
            self._leave(node, f"there is no module {module}")
            return
        if not isinstance(node.names, cst.ImportStar):
            missing = [
                alias.evaluated_name for alias in node.names if not names.has(module, alias.evaluated_name)
            ]
            if missing:
                self._leave(node, f"{module} has no {', '.join(missing)}")
                return
        self.edits.append(self._edit(node.module, module))
        imported = "*" if isinstance(node.names, cst.ImportStar) else ", ".join(map(_alias, node.names))
        self._change(node, f"from {module} import {imported}")

    # What is said in strings.

    def visit_Annotation(self, node: cst.Annotation) -> None:  # noqa: N802
        self._annotations += 1

    def leave_Annotation(self, original_node: cst.Annotation) -> None:  # noqa: N802
        self._annotations -= 1

    def visit_SimpleString(self, node: cst.SimpleString) -> None:  # noqa: N802
        self._look_into(node, node.evaluated_value)

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:  # noqa: N802
        self._look_into(node, node.evaluated_value)
        return node.evaluated_value is None

    def _look_into(self, node: cst.BaseString, value: str | bytes | None) -> None:
        if not isinstance(value, str):
            return
        if self._annotations and _IN_ANNOTATION.search(value):
            self._leave(
                node, "an annotation in a string names aiofiles; it is right if that name is imported"
            )
        elif _IN_STRING.fullmatch(value) and not self._is_documentation(node):
            self._leave(node, f"a string names aiofiles; perhaps it should be {names.ours(value)!r}")

    def _is_documentation(self, node: cst.CSTNode) -> bool:
        return isinstance(self._parent(node), cst.Expr)

    # Where things stand.

    def _edit(self, node: cst.CSTNode, new: str) -> _Edit:
        span: Any = self.get_metadata(ByteSpanPositionProvider, node)
        return _Edit(span.start, span.start + span.length, new)

    def _line_of(self, node: cst.CSTNode) -> _Edit:
        """The removal of the line that a statement has for itself."""
        span: Any = self.get_metadata(ByteSpanPositionProvider, node)
        start = self._content.rfind(b"\n", 0, span.start) + 1
        end = self._content.find(b"\n", span.start + span.length) + 1
        return _Edit(start, end or len(self._content), "")

    def _change(self, node: cst.CSTNode, after: str) -> None:
        self.changes.append(Note(self._line(node), f"{_code(node)} -> {after}"))

    def _leave(self, node: cst.CSTNode, why: str) -> None:
        self.left.append(Note(self._line(node), f"{_code(node)}: {why}"))

    def _line(self, node: cst.CSTNode) -> int:
        position: Any = self.get_metadata(PositionProvider, node)
        line: int = position.start.line
        return line

    def _parent(self, node: cst.CSTNode) -> Any:
        return self.get_metadata(ParentNodeProvider, node)


def _dotted(node: cst.Attribute | cst.Name) -> str:
    if isinstance(node, cst.Name):
        return node.value
    assert isinstance(node.value, cst.Attribute | cst.Name)
    return f"{_dotted(node.value)}.{node.attr.value}"


def _alias(alias: cst.ImportAlias) -> str:
    return _code(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT))


def _code(node: cst.CSTNode) -> str:
    """The source of a node, in one line."""
    return " ".join(cst.Module([]).code_for_node(node).split())
