"""Golden cases: a stack and the exact text of its errors, or of the plan that it makes.

`UPDATE_GOLDEN=1 pytest tests/stack/test_golden.py` writes what comes out into the cases: read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.stack.support import GOLDEN, Case, load_text, resources_of
from vidops.errors import StackError
from vidops.planning.plan import Applied, Plan, after, plan
from vidops.planning.show import lines
from vidops.resources.resource import Ref

CASES = sorted(GOLDEN.glob("*.case"))


def errors_of(case: Case) -> str:
    try:
        load_text(case.documents[0], case.env, case.files)
    except StackError as error:
        return f"{error}\n"
    return "no errors\n"


def plan_of(case: Case) -> str:
    """The plan of the last document, where those before it have been applied."""
    applied: dict[Ref, Applied] = {}
    made = Plan()
    for document in case.documents:
        for action in made.actions:
            after(action, applied)
        made = plan(resources_of(load_text(document, case.env, case.files)), applied)
    return steady("\n".join(lines(made)) + "\n")


def steady(text: str) -> str:
    """Which of a program's arguments differ is the plugin's affair: `program.argv[*]` stands for them."""
    return re.sub(r"program\.argv\[\d+\](?:, program\.argv\[\d+\])*(?: and \d+ more)?", "program.argv[*]", text)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = Case.parse(path.read_text())
    found = {"errors": errors_of, "plan": plan_of}[case.kind](case)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(f"{case.input}\n----------\n{found}")
    assert found == (found if os.environ.get("UPDATE_GOLDEN") else case.expected)
    assert case.kind == "plan" or found != "no errors\n"


def test_there_are_enough_of_each_kind() -> None:
    kinds = [Case.parse(path.read_text()).kind for path in CASES]
    assert kinds.count("errors") >= 32
    assert kinds.count("plan") >= 12
