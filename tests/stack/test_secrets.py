"""Secret references: what they stand for, and that the exec shim's twin agrees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from vidops.errors import PermanentError
from vidops.resources.specs import SecretRef
from vidops.runtime import exec as shim
from vidops.stack.secrets import SECRET_LIMIT, resolve_secret


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "good").write_text("hunter2\n")
    (tmp_path / "crlf").write_bytes(b"a\r\n")
    (tmp_path / "two").write_text("a\n\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "limit").write_text("x" * SECRET_LIMIT)
    (tmp_path / "large").write_text("x" * (SECRET_LIMIT + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


ENV = {"TOKEN": "s3cret", "EMPTY": ""}


@pytest.mark.parametrize(
    ("name", "secret"),
    [("good", "hunter2"), ("crlf", "a"), ("two", "a\n"), ("empty", ""), ("limit", "x" * SECRET_LIMIT), ("pipe", "")],
)
def test_files_and_credentials(places: Path, name: str, secret: str) -> None:
    assert resolve_secret(SecretRef(file=str(places / name)), {}) == secret
    assert resolve_secret(SecretRef(credential=name), {}, credentials_dir=str(places)) == secret
    assert resolve_secret(SecretRef(credential=name), {"CREDENTIALS_DIRECTORY": str(places)}) == secret


def test_variables() -> None:
    assert resolve_secret(SecretRef(env="TOKEN"), ENV) == "s3cret"
    assert resolve_secret(SecretRef(env="EMPTY"), ENV) == ""


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (SecretRef(env="NO"), "the environment variable NO is not set"),
        (SecretRef(credential="x"), "no credentials directory for credential x: add LoadCredential=x:PATH"),
        (SecretRef(file="large"), "is not a small file"),
        (SecretRef(file="binary"), "is not text"),
        (SecretRef(file="directory"), "Is a directory"),
        (SecretRef(file="gone"), "No such file"),
    ],
)
def test_refusals(places: Path, reference: SecretRef, message: str) -> None:
    if reference.file:
        reference = SecretRef(file=str(places / reference.file))
    with pytest.raises(PermanentError, match=message) as caught:
        resolve_secret(reference, ENV)
    assert caught.value.reason == "MissingSecret"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../good", "a/b", ".", ".."])
def test_a_credential_stays_in_its_directory(places: Path, name: str) -> None:
    with pytest.raises(PermanentError, match="not a credential's name"):
        resolve_secret(SecretRef(credential=name), {}, credentials_dir=str(places / "directory"))


def test_the_shim_agrees(places: Path) -> None:
    env = {**ENV, "CREDENTIALS_DIRECTORY": str(places)}
    references = [SecretRef(env=name) for name in ("TOKEN", "EMPTY", "NO")]
    for name in ("good", "crlf", "two", "empty", "limit", "large", "binary", "directory", "pipe", "gone"):
        references += [SecretRef(file=str(places / name)), SecretRef(credential=name)]
    references.append(SecretRef(credential="../good"))
    for reference in references:
        ours, theirs = [], []
        try:
            ours.append(resolve_secret(reference, env))
        except PermanentError as error:
            ours.append(str(error))
        try:
            theirs.append(shim.resolve_secret(reference.model_dump(), env))
        except shim.Refused as error:
            theirs.append(str(error))
        assert ours == theirs


@pytest.mark.parametrize("fields", [{}, {"env": "A", "file": "b"}, {"env": ""}, {"env": "A", "credential": "c"}])
def test_a_reference_is_exactly_one(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of env, file, credential"):
        SecretRef(**fields)
    assert SecretRef.model_validate(SecretRef(env="A").model_dump()) == SecretRef(env="A")
