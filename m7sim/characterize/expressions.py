"""Small arithmetic over named integers, for manifests and grids; nothing else is evaluated."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from m7sim.board.schema import suggestion
from m7sim.errors import TableError

MAX_LENGTH = 400
MAX_BITS = 64  # no value a C function could be given is wider

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: lambda value: int(not value),
}
_FUNCTIONS: dict[str, Callable[..., int]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "ceil_div": lambda a, b: -(-a // b),
    "align": lambda value, to: -(-value // to) * to,
}
GRAMMAR = (
    "Allowed are integers, names, + - * // % << >> & |, comparisons, and, or, not, "
    f"'a if condition else b' and {', '.join(_FUNCTIONS)}"
)


@dataclass(frozen=True)
class Expression:
    """An integer expression such as ``2 * kernel_y * kernel_x * in_ch``.

    Parameters
    ----------
    text
        The expression.
    where
        File and key, for messages.

    Raises
    ------
    TableError
        On construction by `parse`, if the text is not of the grammar.
    """

    text: str
    where: str

    @classmethod
    def parse(cls, text: str | int, where: str) -> Expression:
        """Return the expression of a text, or of a number; checked against the grammar."""
        made = cls(str(text), where)
        made._check(made._tree)
        return made

    @property
    def names(self) -> frozenset[str]:
        """Names that it uses, functions not counted."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        return frozenset(
            node.id
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Name) and id(node) not in called
        )

    def check_names(self, known: Iterable[str]) -> None:
        """Raise TableError, with the nearest name, for a name that is not known."""
        known = list(known)
        for name in sorted(self.names - set(known)):
            raise TableError(
                f"unknown name {name!r} in {self.text!r}",
                where=self.where,
                do=suggestion(name, known),
            )

    def value(self, names: Mapping[str, int]) -> int:
        """Evaluate it.

        Raises
        ------
        TableError
            For an unknown name, a division by zero, a result of more than 64 bits.
        """
        self.check_names(names)
        try:
            result = self._evaluate(self._tree, names)
        except (ZeroDivisionError, ValueError, TypeError) as error:
            raise TableError(f"{self.text!r}: {error}", where=self.where) from error
        return result

    @cached_property
    def _tree(self) -> ast.expr:
        if len(self.text) > MAX_LENGTH:
            raise TableError(f"an expression of {len(self.text)} characters", where=self.where)
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise TableError(
                f"{self.text!r} is no expression", where=self.where, do=GRAMMAR
            ) from error

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=bool() | int()) | ast.Name():
                children: list[ast.expr] = []
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                children = [left, right]
            case ast.UnaryOp(op=unary, operand=operand) if type(unary) in _UNARY:
                children = [operand]
            case ast.BoolOp(values=values):
                children = values
            case ast.Compare(left=left, ops=ops, comparators=rest) if all(
                type(op) in _COMPARE for op in ops
            ):
                children = [left, *rest]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                children = [test, body, orelse]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                children = args
            case _:
                found = ast.unparse(node)
                raise TableError(f"{found!r} cannot be used here", where=self.where, do=GRAMMAR)
        for child in children:
            self._check(child)

    def _evaluate(self, node: ast.expr, names: Mapping[str, int]) -> int:
        def of(child: ast.expr) -> int:
            return self._evaluate(child, names)

        result: Any
        match node:
            case ast.Constant(value=value):
                result = int(value)  # type: ignore[arg-type]
            case ast.Name(id=name):
                result = int(names[name])
            case ast.BinOp(left=left, op=op, right=right):
                a, b = of(left), of(right)
                if isinstance(op, ast.LShift | ast.RShift) and not 0 <= b < MAX_BITS:
                    raise ValueError(f"a shift by {b} bits")
                result = _BINARY[type(op)](a, b)
            case ast.UnaryOp(op=unary, operand=operand):
                result = _UNARY[type(unary)](of(operand))
            case ast.BoolOp(op=ast.And(), values=values):
                result = int(all(of(each) for each in values))
            case ast.BoolOp(values=values):
                result = int(any(of(each) for each in values))
            case ast.Compare(left=left, ops=ops, comparators=rest):
                terms = [of(left), *map(of, rest)]
                result = int(
                    all(_COMPARE[type(op)](terms[i], terms[i + 1]) for i, op in enumerate(ops))
                )
            case ast.IfExp(test=test, body=body, orelse=orelse):
                result = of(body) if of(test) else of(orelse)
            case ast.Call(func=ast.Name(id=name), args=args):
                result = _FUNCTIONS[name](*map(of, args))
            case _:
                raise TypeError(f"{ast.unparse(node)!r} cannot be used here")
        if abs(result) >= 1 << MAX_BITS:
            raise ValueError("a number of more than 64 bits")
        return int(result)
