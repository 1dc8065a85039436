"""Keeps the files of translations: finds every text of ours in the source, and what lacks words.

    python -m hesper_ui.catalogue       adds new texts to every file, counts what is missing
    python -m hesper_ui.catalogue fr    begins a language

The source is read as a syntax tree, so that a text that is put together where no catalogue could
find it (an f-string, a bare literal in a `Text`) is a finding too, and not only a missing word.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from hesper_ui import assets, tongues
from hesper_ui.services import texts

SOURCE = Path(__file__).parent
OURS: Mapping[str, Sequence[int]] = {  # callables that say some of their arguments themselves
    "say": (0,),
    "later": (0,),
    "plural": (1, 2),
    "noun": (1, 2),
    "button": (0,),
    "buttons": (0, 1),
    "panel": (0, 1),
    "table": (0,),
    "grouped_table": (0,),
    "Columns": (0,),
    "empty": (0, 1),
    "entry": (0,),
    "file": (1,),
    "lines": (1,),
    "select": (1,),
    "choices": (0,),
    "choice": (0,),
    "sheet": (1,),
    "marked": (1,),
    "Look": (1,),
    "Place": (1,),
    "Words": (),
}
NAMED: Mapping[str, Sequence[str]] = {"Place": ("said",), "panel": ("note",), "ago": ("never",)}
SHOWING: Mapping[str, int] = {"Text": 0, "link": 0, "notify": 0}  # these show, and say nothing
PROPER = frozenset({"Hesper", "SHA-256", "Ctrl K"})
_HEAD = """# The words of Hesper's console; python -m hesper_ui.catalogue keeps this file.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plural}\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""
_PLURAL = frozenset({"plural", "noun"})


@dataclass(slots=True)
class Found:
    """The texts of the source, and where one is put together so that nobody can translate it."""

    texts: set[str] = field(default_factory=set)
    nouns: dict[str, str] = field(default_factory=dict)  # one and many
    faults: list[str] = field(default_factory=list)


def found(source: Path = SOURCE) -> Found:
    """Reads all modules of the console, and its scripts."""
    everything = Found()
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                _look(everything, node, f"{path.relative_to(source)}:{node.lineno}")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                everything.texts |= {text for text in _put_by(node) if _is_word(text)}
    everything.texts |= set(assets.words_of_scripts())
    everything.texts |= {text for text in texts.of_services() if _is_word(text)}
    return everything


def _look(everything: Found, call: ast.Call, where: str) -> None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in SHOWING:
        shown = call.args[SHOWING[name] : SHOWING[name] + 1]
        texts = [*_literals(shown), *(_fixed(each) for each in shown if _is_put_together(each))]
        everything.faults += [
            f"{where} {name}: {text!r} is not said" for text in texts if _is_word(text)
        ]
        return
    arguments = [call.args[place] for place in OURS.get(name, ()) if place < len(call.args)]
    arguments += [each.value for each in call.keywords if each.arg in NAMED.get(name, ())]
    if any(_is_put_together(each) and _is_word(_fixed(each)) for each in arguments):
        everything.faults.append(f"{where} {name}: an f-string; say it with {{names}} instead")
    texts = [text for text in _literals(arguments) if _is_word(text)]
    if name in _PLURAL and texts:
        everything.nouns[texts[0]] = texts[1] if len(texts) > 1 else f"{texts[0]}s"
    else:
        everything.texts |= set(texts)


def _put_by(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yields the literals that a function gives a name, where it says what has that name."""
    nodes = list(ast.walk(function))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    arguments = (
        call.args[place]
        for call in calls
        for place in OURS.get(getattr(call.func, "id", getattr(call.func, "attr", "")), ())
        if place < len(call.args)
    )
    said = {each.id for each in arguments if isinstance(each, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Assign):
            pairs = _pairs(node.targets[0], node.value)
            yield from _literals([value for name, value in pairs if name in said])


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr]]:
    """Returns which name an assignment gives which value, also where it gives several."""
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values):
            return [
                (getattr(one, "id", ""), each) for one, each in zip(targets, values, strict=False)
            ]
        case _:
            return [(getattr(target, "id", ""), value)]


def _literals(nodes: Sequence[ast.expr]) -> Iterator[str]:
    """Yields the literals of some arguments: alone, in a choice of two, in a tuple or list."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.IfExp(body=body, orelse=other):
                yield from _literals([body, other])
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                yield from _literals(elements)


def _is_put_together(text: ast.expr) -> TypeGuard[ast.JoinedStr]:
    return isinstance(text, ast.JoinedStr)


def _fixed(text: ast.JoinedStr) -> str:
    """Returns what an f-string says whatever its values are."""
    return "".join(str(each.value) for each in text.values if isinstance(each, ast.Constant))


def _is_word(text: str) -> bool:
    return text not in PROPER and sum(sign.isalpha() for sign in text) > 1


def missing(language: str, everything: Found) -> list[str]:
    """Returns the texts and nouns that a language has no words for."""
    tongue = tongues.tongue(language)
    lacking = [text for text in sorted(everything.texts) if text not in tongue.words]
    return lacking + [one for one in sorted(everything.nouns) if one not in tongue.counted]


def renew(language: str, everything: Found) -> None:
    """Writes a language's file again: what is new without words, what is gone left out."""
    path = tongues.file_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            before = read_po(file, locale=language)
    after = Catalog(
        locale=language, header_comment=f"# Hesper's console in {language}.", fuzzy=False
    )
    for text in sorted(everything.texts):
        kept = before.get(text)
        after.add(text, kept.string if kept and isinstance(kept.string, str) else "")
    for one, many in sorted(everything.nouns.items()):
        kept = before.get((one, many))
        words = kept.string if kept and isinstance(kept.string, tuple) else ("", "")
        after.add((one, many), words)
    with path.open("wb") as file:
        file.write(_HEAD.format(language=language, plural=after.plural_forms).encode())
        write_po(file, after, width=100, omit_header=True, sort_output=True)


def main(arguments: Sequence[str]) -> int:
    """Renews all files, and one that is begun; returns 1 while words are missing."""
    everything = found()
    for language in {*tongues.languages(), *arguments} - {tongues.ENGLISH}:
        renew(language, everything)
        tongues.tongue.cache_clear()
        lacking = missing(language, everything)
        print(f"{language}: {len(lacking)} of {len(everything.texts)} texts have no words yet")  # noqa: T201 - its answer
    for fault in everything.faults:
        print(fault)  # noqa: T201 - its answer
    return 1 if everything.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
