"""Every YAML block of every page goes through the real loader.

A block that begins with `apiVersion` (or a comment and then that) is a whole stack file. One without is a fragment:
whole sections of a file, to which the test adds the version and a camera called `door` where none is declared. A
block whose first line is `# wrong` has to be refused, with the very words of the text block that follows it.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, Block, blocks
from vidops.errors import StackError
from vidops.runtime.plugins import load_catalogue
from vidops.stack.load import load

HEAD = "apiVersion: vidops/v1\n"
DOOR = "devices: {door: {source: testsrc}}\n"
ACME = re.compile(r"\bacme_\w+|\btile\b")
"""Types of plugins that a page invents: what tests the page's plugin tests them."""


def found() -> list[Block]:
    return [b for page in PAGES for b in blocks(page, "yaml")]


def is_playbook(text: str) -> bool:
    document: Any = yaml.safe_load(text)
    return isinstance(document, list) or not isinstance(document, dict) or "vidops_hosts" in document


def read(text: str) -> None:
    load("stack.yaml", catalogue=load_catalogue(), env={}, read=lambda _: whole(text).encode())


def whole(text: str) -> str:
    if not re.search(r"^apiVersion:", text, re.MULTILINE):
        text += HEAD + ("" if re.search(r"^devices:", text, re.MULTILINE) else DOOR)
    return text


@pytest.mark.parametrize("block", found(), ids=str)
def test_a_block_is_what_the_loader_takes(block: Block) -> None:
    if is_playbook(block.text) or ACME.search(block.text):
        return
    if not block.text.startswith("# wrong"):
        read(block.text)
        return
    following = [b for b in blocks(block.page) if b.line > block.line]
    assert following[0].language == "text", "a wrong block is followed by what is said of it"
    with pytest.raises(StackError) as refused:
        read(block.text)
    assert [str(p) for p in refused.value.problems] == following[0].text.splitlines()


def test_there_are_some_of_each_sort() -> None:
    texts = [b.text for b in found()]
    assert sum(t.startswith("# wrong") for t in texts) >= 1
    assert sum("apiVersion" in t for t in texts) >= 3
    assert sum("apiVersion" not in t and not is_playbook(t) for t in texts) >= 5


@pytest.mark.parametrize("block", [b for p in PAGES for b in blocks(p, "json", "toml", "python")], ids=str)
def test_other_languages_can_be_parsed(block: Block) -> None:
    parse: dict[str, Any] = {
        "json": json.loads,
        "toml": tomllib.loads,
        "python": lambda text: compile(text, str(block), "exec"),
    }
    parse[block.language](block.text)
