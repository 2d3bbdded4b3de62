"""Links lead somewhere, commands and options exist, and no page speaks of the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tests.docs.pages import PAGES, ROOT, blocks, name_of, prose
from vidops.cli.root import COMMANDS, root

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
MACHINE = re.compile(r"/work/|/tmp/venv|/root/|/home/(?!you/)\w+|\b(?:10|192\.168)\.\d+\.\d+\.\d+")
COMMAND = re.compile(r"(?:^|[\s(/$])vidops((?: +-{1,2}[\w-]+(?:[= ][^\s-][^\s`]*)?)*) +([a-z]+)\b([^|;&#\n]*)")
OPTION = re.compile(r"(?<=\s)(--?[a-zA-Z][\w-]*)")


def anchors(page: Path) -> set[str]:
    """The ids of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for groups in LINK.findall(prose(page)):
        target = next(t for t in groups if t)
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or not there.is_relative_to(ROOT) or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def said_commands(page: Path) -> list[tuple[str, str, str]]:
    """Flags before the command, the command, and what follows it, wherever a page shows one as code."""
    code = [b.text for b in blocks(page, "sh", "console", "text")]
    code += re.findall(r"`([^`\n]+)`", prose(page))
    return [m.groups() for text in code for m in COMMAND.finditer(text)]  # type: ignore[misc]


def options_of(command: click.Command) -> set[str]:
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h", "--version", "-V"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    context = click.Context(root, info_name="vidops")
    for before, name, after in said_commands(page):
        assert name in COMMANDS, f"vidops {name}"
        assert set(OPTION.findall(before)) <= options_of(root), f"vidops{before} {name}"
        command = root.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            words = after.split()
            below = command.get_command(context, words[0] if words else "") or command.get_command(context, "list")
            assert below is not None, f"vidops {name}{after}"
            command = below
        assert set(OPTION.findall(after)) <= options_of(command), f"vidops {name}{after}"


def test_commands_are_recognised() -> None:
    assert sum(len(said_commands(p)) for p in PAGES) > 40
    assert COMMAND.search("vidops --run-dir /x plan a.yaml --bad")
    assert COMMAND.search("see vidops stop")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_speaks_of_a_machine(page: Path) -> None:
    assert MACHINE.findall(page.read_text("utf-8")) == []


def test_every_page_is_found_from_the_index() -> None:
    """Whoever starts at the README gets everywhere below docs/."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        for groups in LINK.findall(prose(page)):
            target = next(t for t in groups if t).partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                waiting.append((page.parent / target).resolve())
    assert [name_of(p) for p in ROOT.glob("docs/**/*.md") if p not in seen] == []


def test_the_changelog_has_the_fields_format() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head) for head in heads[1:])
