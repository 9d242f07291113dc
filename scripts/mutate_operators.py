"""The small mistakes that are made on purpose: every mutant of one source file."""

import ast
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from types import CodeType
from typing import TypeVar

OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPARISONS = OPPOSITES | {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMESAKES = {"min": "max", "max": "min", "any": "all", "all": "any"}
NORMALISERS = {"lower", "upper", "strip", "casefold"}
NOT_RUN = {"annotation", "returns", "decorator_list", "format_spec", "bases", "type_ignores"}
"""Parts of a syntax tree that decide nothing at run time, or whose change is a crash on import."""
SHOWN, MARGIN = 100, 30
"""Characters of a long piece of code that a name shows, and how many of them around the difference."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``name`` is made of the function and of what it said before and says now: it survives that lines move."""

    name: str
    code: CodeType


def mutants(source: str, path: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    found: dict[str, Mutant] = {}
    texts, names = {ast.unparse(tree)}, Counter[str]()
    for place in _places(tree, ()):
        for changed in _alternatives(place):
            place.put(changed)
            if (text := ast.unparse(tree)) not in texts:
                texts.add(text)
                name = place.name_of(changed)
                names[name] += 1
                name += f" ({names[name]})" if names[name] > 1 else ""
                found[name] = Mutant(name, compile(ast.parse(text), path, "exec"))
            place.put(place.node)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: in ``parent``'s ``field``, and there at ``index`` if that is a list."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    scope: tuple[ast.AST, ...]

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def name_of(self, changed: ast.AST) -> str:
        """``function: before -> after``; a constant is shown with what it stands in, where that is short."""
        scope = ".".join(node.name for node in self.scope if isinstance(node, _NAMED)) or "module"
        shown = self.parent if isinstance(self.node, ast.Constant) and self._is_short(self.parent) else self.node
        self.put(self.node)
        before = _told(shown)
        self.put(changed)
        before, after = _shortened(before, _told(shown if shown is self.parent else changed))
        return f"{scope}: {before} -> {after}"

    @staticmethod
    def _is_short(node: ast.AST) -> bool:
        return isinstance(node, ast.expr | ast.keyword | ast.Assign | ast.AnnAssign) and len(ast.unparse(node)) <= SHOWN


_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _told(node: ast.AST) -> str:
    if isinstance(node, ast.Try):
        return " / ".join(["try:", *(ast.unparse(handler).splitlines()[0] for handler in node.handlers)])
    return ast.unparse(node).splitlines()[0]


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Without most of what both begin and end with, if they are long."""
    if len(before) <= SHOWN:
        return before, after
    start = max(_same(before, after) - MARGIN, 0)
    end = max(_same(before[::-1], after[::-1]) - MARGIN, 0)
    return _cut(before, start, end), _cut(after, start, end)


def _cut(text: str, start: int, end: int) -> str:
    kept = text[start : max(len(text) - end, start)]
    return f"{'…' * (start > 0)}{kept[:SHOWN]}{'…' * (end > 0 or len(kept) > SHOWN)}"


def _same(first: str, second: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(first), len(second)))


def _places(node: ast.AST, scope: tuple[ast.AST, ...]) -> Iterator[_Place]:
    if isinstance(node, _NAMED):
        scope = (*scope, node)
    for field, value in ast.iter_fields(node):
        if field in NOT_RUN:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _is_for_checkers(child):
                yield _Place(child, node, field, index, scope)
                yield from _places(child, scope)


def _is_for_checkers(node: ast.AST) -> bool:
    """What only type checkers and linters look at."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec")):
            return True
        case ast.Assert() | ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
    return False


def _alternatives(place: _Place) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.stmt):
        yield from _statements(node, place.scope)
    elif isinstance(node, ast.expr) and not isinstance(place.parent, ast.JoinedStr) and not _is_docstring(place):
        if place.field in {"test", "ifs"} and not _has_opposite(node):
            yield ast.UnaryOp(ast.Not(), node)
        yield from _values(node)


def _is_docstring(place: _Place) -> bool:
    return isinstance(place.parent, ast.Expr) and isinstance(place.node, ast.Constant)


def _has_opposite(node: ast.expr) -> bool:
    """Whether a comparison will be turned around anyway."""
    return isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPPOSITES


def _statements(node: ast.stmt, scope: tuple[ast.AST, ...]) -> Iterator[ast.AST]:
    match node:
        case ast.Expr(value=ast.Constant()):
            pass
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Break() | ast.Continue() | ast.Return(value=None):
            yield ast.Pass()
        case ast.Assign(targets=[target]) if isinstance(target, ast.Attribute | ast.Subscript):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if scope and _was_bound(name, scope[-1]):
            yield ast.Pass()
        case ast.Return(value=value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.With(items=items) | ast.AsyncWith(items=items) if all(item.optional_vars is None for item in items):
            yield ast.If(ast.Constant(True), node.body, [])
        case ast.Try(handlers=handlers):
            for rest in _without_one(handlers):
                yield (
                    _with(node, handlers=rest) if rest or node.finalbody else ast.If(ast.Constant(True), node.body, [])
                )


def _was_bound(name: str, function: ast.AST) -> bool:
    """Whether a function goes on without one of the assignments to ``name``: it is an argument or assigned twice."""
    inside = list(ast.walk(function))
    bound = sum(isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store) for one in inside)
    return bound > 1 or any(isinstance(one, ast.arg) and one.arg == name for one in inside)


def _values(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                yield _with(node, ops=[*ops[:index], COMPARISONS[type(operator)](), *ops[index + 1 :]])
        case ast.BoolOp(op=operator, values=values):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for rest in _without_one(values):
                yield _with(node, values=rest) if len(rest) > 1 else rest[0]
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in ARITHMETIC:
            if not (_is_text(left) or _is_text(right)):
                yield _with(node, op=ARITHMETIC[type(operator)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _other_values(value))
        case ast.Call(func=ast.Name(id=name)) if name in NAMESAKES:
            yield _with(node, func=ast.Name(NAMESAKES[name], ast.Load()))
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=[]) if name in NORMALISERS:
            yield value
        case _:
            yield from _fewer(node)


def _fewer(node: ast.expr) -> Iterator[ast.AST]:
    """A display without one of its members."""
    match node:
        case ast.Set(elts=members) | ast.List(elts=members, ctx=ast.Load()):
            for rest in _without_one(members):
                yield _with(node, elts=rest) if rest or isinstance(node, ast.List) else _empty_set()
        case ast.Tuple(elts=members, ctx=ast.Load()) if all(isinstance(one, ast.Constant) for one in members):
            for rest in _without_one(members):
                yield _with(node, elts=rest)
        case ast.Dict(keys=keys, values=values):
            for kept, rest in zip(_without_one(keys), _without_one(values), strict=True):
                yield _with(node, keys=kept, values=rest)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _other_values(value: object) -> list[bool | int | str]:
    """Numbers next to it; another code. A text with spaces in it is for people and may be put in other words."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    return [f"{value}?"] if isinstance(value, str) and " " not in value else []


def _without_one(members: list[T]) -> Iterator[list[T]]:
    for index in range(len(members)):
        yield members[:index] + members[index + 1 :]


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy(node)
    for field, value in changes.items():
        setattr(changed, field, value)
    return changed


def _empty_set() -> ast.expr:
    return ast.Call(ast.Name("set", ast.Load()), [], [])
