"""The section `tenants`: checked with everything else, and carried into the routes that look into it."""

from __future__ import annotations

import pytest

from tests.stack.support import load_text, resources_of
from vidops.errors import StackError
from vidops.resources.specs import GatewaySpec

STACK = """
apiVersion: vidops/v1
devices: {door: {source: testsrc}}
tenants:
  directory: {type: static, tenants: {acme: {members: [ann], devices: ["door*"]}}}
  spare: {type: sqlite, path: t.db}
middleware:
  authn:
    - {type: jwt, issuer: https://id.example, jwks_url: https://id.example/jwks, audience: vidops}
    - {type: tenant, from: [{claim: tid}, {header: X-Tenant}]}
gateways:
  public:
    bind: 127.0.0.1:8080
    routes:
      - {path: /stream/**, chain: [authn], handler: {type: stream}}
      - path: /snapshot/**
        chain: [{type: tenant, directory: spare, from: [{directory: true}]}]
        handler: {type: snapshot}
      - {path: /readyz, handler: {type: health}}
"""


def routes(text: str) -> list[dict[str, object]]:
    spec = next(r.spec for r in resources_of(load_text(text)) if isinstance(r.spec, GatewaySpec))
    return [{name: (t.type, t.base_dir) for name, t in route.tenants.items()} for route in spec.routes]


def test_a_route_carries_the_directories_that_it_looks_into() -> None:
    assert routes(STACK) == [{"directory": ("static", "/etc/vidops")}, {"spare": ("sqlite", "/etc/vidops")}, {}]


def test_a_gateways_own_chain_counts_for_each_route() -> None:
    text = STACK.replace("    bind: 127.0.0.1:8080\n", "    bind: 127.0.0.1:8080\n    chain: [authn]\n")
    assert all("directory" in route for route in routes(text))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("directory: spare", "directory: sparse", "did you mean `spare`"),
        ("tenants:\n  directory:", "tenants:\n  other:", "no directory of tenants is called `directory`"),
        ("type: static", "type: statik", "static"),
        ("members: [ann]", "members: ann", "members"),
        ("{claim: tid}", "{claim: tid, header: X}", "exactly one"),
        ("{directory: true}", "{directory: false}", "exactly one"),
        ("audience: vidops", "leeway: 10m", "audience"),
    ],
)
def test_mistakes_are_told(old: str, new: str, said: str) -> None:
    with pytest.raises(StackError) as caught:
        load_text(STACK.replace(old, new))
    assert said in str(caught.value)
