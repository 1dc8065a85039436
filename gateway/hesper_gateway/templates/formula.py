"""Addresses made from a serial number: a formula of one line, read here and never executed.

    formula = term { ("+" | "-") term }
    term    = factor { ("*" | "//" | "%") factor }
    factor  = number | "serial" [ "[" [from] ":" [to] "]" ] | "(" formula ")"

`serial` is the number that the digits of the serial make, letters left out; a slice takes some of
the digits, counted as Python counts them: `serial[-4:] % 10000 + 1000`. The text is parsed into a
tree by Python's own parser and the tree is walked node by node; whatever is not in the grammar
above is refused when the template is read.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Final

LONGEST = 80
"""Characters of a formula."""
_LONGEST_SERIAL = 32

_OPERATORS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Formula:
    """A formula that has been read; ValueError says what in it is none."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"a formula has at most {LONGEST} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"{text!r} is no formula, such as serial[-4:] % 10000 + 16") from None
        self.text = text
        self.value("0" * _LONGEST_SERIAL, checking=True)

    def __repr__(self) -> str:
        """Show the formula as it was written."""
        return f"Formula({self.text!r})"

    def value(self, serial: str, *, checking: bool = False) -> int:
        """Return what the formula makes of a serial number.

        Raises:
            ValueError: the serial number has too few digits, or the formula divides by zero.
        """
        digits = "".join(each for each in serial if each in "0123456789")[-_LONGEST_SERIAL:]
        try:
            return _value(self._tree, digits)
        except ZeroDivisionError:
            if checking:
                return 0
            raise ValueError(f"{self.text!r} divides by zero for {serial!r}") from None


def _value(node: ast.expr, digits: str) -> int:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id="serial"):
            return _number(digits)
        case ast.Subscript(value=ast.Name(id="serial"), slice=ast.Slice(lower, upper, None)):
            return _number(digits[_bound(lower) : _bound(upper)])
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATORS:
            return _OPERATORS[type(operation)](_value(left, digits), _value(right, digits))
    raise ValueError(
        f"{ast.unparse(node)!r} has no place in a formula; there are whole numbers, serial, "
        "serial[from:to], + - * // % and brackets"
    )


def _bound(node: ast.expr | None) -> int | None:
    match node:
        case None:
            return None
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
    raise ValueError(f"{ast.unparse(node)!r} is no place in the serial number")


def _number(digits: str) -> int:
    if not digits:
        raise ValueError("the serial number has no digits there")
    return int(digits)
