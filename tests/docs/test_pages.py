"""What the documents tell people to type, open, ask and watch is there."""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import typer
import yaml
from hesper_cloud import cli as cloud
from hesper_cloud.api.application import PREFIX, create_app
from hesper_cloud.db.authority_base import AuthorityBase
from hesper_cloud.db.base import RegistryBase
from hesper_cloud.settings import Settings
from hesper_gateway import cli as gateway
from hesper_gateway.config import GatewayConfig
from hesper_gateway.desk import cli as desk
from hesper_lab import cli as lab
from hesper_sim import cli as sim
from hesper_ui import places
from hesper_ui.views.rule_words import BUILT_IN, OTHERS
from prometheus_client import REGISTRY
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
PAGES = [
    "operating.md", "operating-a-gateway.md", "troubleshooting.md",
    *sorted(f"operating/{path.name}" for path in ROOT.glob("docs/operating/*.md")),
]  # fmt: skip
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for part in ("*", "docs/**/*", "deploy/**/*")
    for path in ROOT.glob(f"{part}.md")
)  # fmt: skip
SCRIPTS = ["deploy/prepare", "deploy/hesper-gateway.service"]
RULES = ROOT / "deploy" / "prometheus" / "hesper.rules.yml"
PROGRAMS = {
    "hesper-cloud": cloud.app, "hesper-gateway": gateway.app, "hesper-dlms": desk.app,
    "hesper-lab": lab.app, "hesper-sim": sim.cli, "./hesper": lab.app,
}  # fmt: skip
BY_THE_LAUNCHER = {"setup", "test"}
NAMES = "|".join(map(re.escape, PROGRAMS))
COMMAND = re.compile(rf"(?:^|[`\s(/])((?:{NAMES})(?: [^`#\n]*)?)", re.MULTILINE)
METRIC = re.compile(r"\bhesper_(?!contracts|cloud|gateway\b|ui|lab|sim|dlms|session)[a-z_]+")
ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[a-z][^`?\s]*)")
PARTS = "cloud|contracts|deploy|dlms|docs|firmware-sim|gateway|lab|mosquitto|tests|ui"
FILE = re.compile(rf"`((?:{PARTS})/[\w./-]+)(?=[`:])")
MADE_LATER = {
    "deploy/site", "cloud/state/keys", "ui/hesper_ui/locale/fr/LC_MESSAGES/hesper.po"
}  # fmt: skip
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@cache
def tree(program: str) -> Any:
    return typer.main.get_command(PROGRAMS[program])


def complaint(line: str) -> str | None:
    """What is wrong with a command as it stands in a page; None where it is there."""
    text = line.split(" && ")[0].split("; ")[0].split(" > ")[0].split(" | ")[0].rstrip(" .,:)…")
    program, *words = shlex.split(re.sub(r"[…'\\\\]", "", text))
    if words and "|" in words[0] + (words[1] if len(words) > 1 else ""):
        alternatives = next(word for word in words[:2] if "|" in word)
        options = (line.replace(alternatives, each, 1) for each in alternatives.split("|"))
        return next(filter(None, map(complaint, options)), None)
    if program == "./hesper" and words[:1] == ["run"]:
        return complaint(shlex.join(words[1:])) if words[1:2] and words[1] in PROGRAMS else None
    if program == "./hesper" and (not words or words[0] in BY_THE_LAUNCHER):
        return None
    found: Any = tree(program)
    while words and hasattr(found, "commands"):
        name, context = words.pop(0), click.Context(found)
        if name.startswith("-"):  # of the group, before the command
            option = next((each for each in found.params if name in each.opts), None)
            if option is None:
                is_wrong = name.startswith("--") and name != "--help"
                return f"{line}: no option {name!r}" if is_wrong else None
            words = words if option.is_flag else words[1:]
            continue
        inner = found.get_command(context, name)
        if inner is None:
            return f"{line}: no {name!r} among {found.list_commands(context)}"
        found = inner
    known = {name for each in found.params for name in (*each.opts, *each.secondary_opts)}
    known |= {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"{line}: no option {wrong[0]!r}" if wrong else None


def commands_of(name: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    if name in SCRIPTS:
        text = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    return [found.strip() for found in COMMAND.findall(text) if "$@" not in found]


@pytest.mark.parametrize("name", [*DOCUMENTS, *SCRIPTS])
def test_every_command_is_there_with_its_options(name: str) -> None:
    wrong = [said for said in map(complaint, commands_of(name)) if said is not None]
    assert wrong == []


def test_commands_are_found() -> None:
    told = [each for name in PAGES for each in commands_of(f"docs/{name}")]
    assert len(told) > 150
    assert any(
        each.startswith("hesper-cloud gateway add") for each in commands_of("deploy/README.md")
    )
    told = [shlex.split(each)[:2] for name in SCRIPTS for each in commands_of(name)]
    assert ["hesper-gateway", "keygen"] in told
    assert told[-1] == ["hesper-gateway", "run"]


def test_a_command_that_is_not_there_would_be_told() -> None:
    assert complaint("hesper-cloud nonsense") is not None
    assert complaint("hesper-cloud person nonsense") is not None
    assert complaint("hesper-cloud person erase X --why y") is not None
    assert complaint("hesper-cloud batch --user ann end ID") is not None
    assert complaint("hesper-cloud batch --whose ann list") is not None
    assert complaint("hesper-cloud audit verify -c cloud.toml") is None


@pytest.mark.parametrize("name", PAGES)
def test_every_metric_is_there(name: str) -> None:
    known = {metric.name for metric in REGISTRY.collect()}
    known |= {f"{metric}_total" for metric in known}
    of_gateways = (ROOT / "gateway" / "hesper_gateway" / "metrics.py").read_text(encoding="utf-8")
    said = set(METRIC.findall(page(name)))
    missing = {
        metric for metric in said - known
        if metric.removeprefix("hesper_gateway_") not in of_gateways
    }  # fmt: skip
    assert missing == set()


@cache
def routes() -> list[str]:
    described = create_app(None, Settings()).openapi()["paths"]  # type: ignore[arg-type]
    return [
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, methods in described.items()
        for method in methods
    ]


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "emqx" not in name])  # its own
def test_every_route_is_there(name: str) -> None:
    known = routes()
    patterns = [re.compile(re.sub(r"\\\{[^}]*\}", "[^/]+", re.escape(each))) for each in known]
    text = (ROOT / name).read_text("utf-8")
    said = {f"{verb} {path.removeprefix(PREFIX)}" for verb, path in ROUTE.findall(text)}
    missing = [
        each for each in said
        if not any(pattern.fullmatch(each) for pattern in patterns)
        and not (each.endswith("…") and any(known_.startswith(each[:-1]) for known_ in known))
    ]  # fmt: skip
    assert missing == []


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    named = re.findall(r'<a id="([\w-]+)"></a>', text)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads} | {*named}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    wrong, here = [], ROOT / name
    for target, anchor in LINK.findall(here.read_text("utf-8")):
        if target.startswith("http"):
            continue
        where = (here.parent / target).resolve() if target else here
        there = where.exists() and (
            not anchor or where.suffix != ".md" or anchor in anchors(where.read_text("utf-8"))
        )
        if not there:
            wrong.append((target, anchor))
    assert wrong == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_is_there(name: str) -> None:
    named = set(FILE.findall((ROOT / name).read_text("utf-8"))) - MADE_LATER
    assert {each for each in named if not (ROOT / each).exists()} == set()


@pytest.mark.parametrize("name", [*DOCUMENTS, *SCRIPTS])
def test_what_pip_is_to_install_from_a_folder_is_this_repository(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / name).read_text(encoding="utf-8")
    for folder, extras in re.findall(r"pipx? install [^`#\n]*'(\.[\w/]*)\[([\w,]+)\]'", text):
        assert (ROOT / folder / "pyproject.toml").is_file(), folder
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", ["docs/operating-a-gateway.md", "deploy/README.md"])
def test_the_account_of_an_agent_opens_serial_ports_outside_of_its_unit_too(name: str) -> None:
    """`discover` and `commission` are run by `sudo -u hesper`, which has the account's groups."""
    unit = (ROOT / "deploy" / "hesper-gateway.service").read_text(encoding="utf-8")
    given = re.findall(r"^SupplementaryGroups=(.+)$", unit, re.MULTILINE)
    text = (ROOT / name).read_text(encoding="utf-8")
    (groups,) = re.findall(r"useradd (?:[^#\n]|\\\n)*--groups ([\w,-]+) hesper\b", text)
    assert set(given) <= set(groups.split(","))


def test_every_alert_rule_leads_to_its_page() -> None:
    known = anchors(page("troubleshooting.md"))
    text = page("troubleshooting.md")
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            path, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert path == "docs/troubleshooting.md"
            assert anchor in known, rule["alert"]
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"]
            assert rule["alert"] in text, f"{rule['alert']} stands under no symptom"


def test_every_page_of_the_console_that_is_named_is_there() -> None:
    titles = {place.title for place in places.declared()}
    named = set(re.findall(r"[Tt]he ((?:[A-Z]\w+)(?: and [A-Z]\w+)*) pages?\b",
                           page("troubleshooting.md")))  # fmt: skip
    pages = {each for names in named for each in names.split(" and ")}
    short = {"Quality": "Readings quality"}
    assert pages
    assert {short.get(each, each) for each in pages} <= titles


def test_every_table_is_said_to_be_bounded_or_not() -> None:
    bases = RegistryBase, AuthorityBase
    chapter = page("operating/growth.md").split("## What grows over the years")[1].split("\n## ")[0]
    columns = zip(
        *(re.split(r" ?\| ?", row)[2:4] for row in chapter.split("\n") if row[:1] == "|"),
        strict=True,
    )
    for base, cells in zip(bases, columns, strict=True):
        named = [name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)]
        assert sorted(named) == sorted(base.metadata.tables)


def test_every_page_of_operating_is_in_its_index_and_short() -> None:
    index = page("operating.md")
    for name in PAGES:
        if name.startswith("operating/"):
            assert f"]({name})" in index, name
            lines = page(name).splitlines()
            assert len(lines) <= 210, name
            assert [each for each in lines if len(each) > 500 and each[:1] != "|"] == [], name


def inner_models(annotation: Any) -> list[type[BaseModel]]:
    """Returns the tables that a value of this type may be, through lists and alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in inner_models(each)]


def strangers(table: dict[str, Any], models: list[type[BaseModel]], place: str = "") -> list[str]:
    """Returns the options that none of the models has; tables of free names are not looked into."""
    wrong = []
    for name, value in table.items():
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        if not fields:
            wrong.append(f"{place}{name}")
            continue
        inner = [model for each in fields for model in inner_models(each.annotation)]
        tables = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        for each in tables:
            if inner and isinstance(each, dict):
                wrong += strangers(each, inner, f"{place}{name}.")
    return wrong


def blocks(name: str) -> list[str]:
    text = re.sub(r"^ {3}", "", page(name), flags=re.MULTILINE)  # within a list
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("name", [*PAGES, "alerts.md", "first-hour.md", "validation.md"])
def test_every_option_in_the_pages_is_one(name: str) -> None:
    for block in blocks(name):
        table = tomllib.loads(block.replace("<another key id>", "<another>"))
        if "columns" in table:  # the layout of a shipment of keys
            continue
        wrong = [strangers(table, [model]) for model in (Settings, GatewayConfig)]
        assert [] in wrong, (name, min(wrong, key=len))


def test_an_option_that_is_not_there_would_be_told() -> None:
    table = tomllib.loads("[web.tls]\nfile = 1\n[[exports.scheduled]]\nname = 2\nwhen = 3")
    assert strangers(table, [Settings]) == ["web.tls.file", "exports.scheduled.when"]
    assert strangers({"lines": [{"kind": "csd", "speed": 1}]}, [GatewayConfig]) == ["lines.speed"]


def leaves(table: dict[str, Any], place: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in table.items():
        inside = isinstance(value, dict) and value
        found |= leaves(value, f"{place}{name}.") if inside else {f"{place}{name}"}
    return found


BY_THEIR_PAGES = ("validation.default.", "validation.types", "service_levels.levels")


def test_the_reference_of_cloud_toml_has_every_option_with_its_default() -> None:
    told = tomllib.loads(blocks("operating/configuration.md")[0])
    assert Settings(**told) == Settings()
    defaults = Settings(state=Path("state")).model_dump(mode="json", exclude_none=True)
    missing = leaves(defaults) - leaves(told)
    assert {each for each in missing if not each.startswith(BY_THEIR_PAGES)} == {
        "database.url", "database.authority_url"
    } - leaves(told)  # fmt: skip


def test_defaults_of_gateway_toml_are_those_that_are_told() -> None:
    written = blocks("operating/gateways.md")
    told = tomllib.loads(next(each for each in written if "[outbox]" in each))
    least = {"gateway": "gw-1", "broker": {"host": "b"}}
    merged = {**least, **told, "broker": {**told["broker"], "host": "b"}}
    assert GatewayConfig(**merged) == GatewayConfig(**least)  # type: ignore[arg-type]


def test_every_alert_of_the_head_end_is_in_the_page_of_troubles() -> None:
    chapter = page("troubleshooting.md").split("## By the name of an alert or event")[1]
    named = {name for row in re.findall(r"^\| (`.*?) \|", chapter, re.MULTILINE)
             for name in re.findall(r"`([^`]+)`", row)}  # fmt: skip
    assert {*BUILT_IN, *OTHERS} - named == set()
