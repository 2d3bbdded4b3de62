"""What a stack file may say of a proxy: what could never work is refused when it is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vidops_plugins.handlers.proxy import Proxy

LONGEST = "a" * 63


@pytest.mark.parametrize("name", [f"{LONGEST}a", f"{LONGEST}a.example", "a..example"])
def test_names_that_cannot_be_looked_up(name: str) -> None:
    for given in (
        {"upstreams": [f"http://{name}:80"]},
        {"upstreams": ["https://app"], "tls": {"server_name": name}},
    ):
        with pytest.raises(ValidationError, match="no host has that name"):
            Proxy.model_validate(given)


def test_the_longest_name() -> None:
    name = f"{LONGEST}.example"
    found = Proxy.model_validate({"upstreams": [f"https://{name}"], "tls": {"server_name": name}})
    assert found.upstreams == [f"https://{name}"]
