"""`jwt` accepts exactly the valid tokens: a law over claims, a table of attacks, and where tokens may be.

Over 400 lines, since the law and the attacks on it are made of the same keys and tokens.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.client import get
from tests.gateway.world import World, route
from tests.plugins.identity.tokens import (
    AUDIENCE,
    ISSUER,
    KINDS,
    SECRET,
    b64,
    claims,
    key,
    public,
    raw,
    sign,
)
from vidops.errors import PermanentError
from vidops_plugins.middleware.jwt.guard import Verifier
from vidops_plugins.middleware.jwt.keys import GivenKeys
from vidops_plugins.middleware.jwt.keyset import from_jwks, from_secret, from_text
from vidops_plugins.middleware.jwt.options import Jwt
from vidops_plugins.middleware.jwt.verify import InvalidTokenError

NOW = 1_800_000_000


def options(**more: Any) -> Jwt:
    return Jwt.model_validate({"issuer": ISSUER, "audience": AUDIENCE, "keys": {"file": "/x"}, **more})


def verifier(chosen: Jwt, *keys: Any, now: float | None = None) -> Verifier:
    found = from_jwks({"keys": [public(k) for k in keys or (key("P-256"),)]}, chosen.accepted)
    return Verifier(chosen, GivenKeys(found), (lambda: now) if now is not None else time.time)


def accepts(it: Verifier, token: str) -> bool:
    try:
        asyncio.run(it.verify(token.encode("latin-1")))
    except InvalidTokenError:
        return False
    return True


@pytest.mark.parametrize("algorithm", sorted(set(KINDS)))
def test_every_algorithm_verifies_its_own_and_nothing_else(algorithm: str) -> None:
    chosen = options(algorithms=[algorithm])
    signing = key(KINDS[algorithm])
    symmetric = algorithm.startswith("HS")
    keys = (
        from_secret(SECRET, chosen.accepted) if symmetric else from_jwks({"keys": [public(signing)]}, chosen.accepted)
    )
    it = Verifier(chosen, GivenKeys(keys))
    good = sign(claims(), algorithm)
    assert accepts(it, good)
    head, body, signature = good.split(".")
    assert not accepts(it, f"{head}.{body}.{b64(bytes(64)).decode()}")
    assert not accepts(it, f"{head}.{b64(json.dumps(claims(sub='eve')).encode()).decode()}.{signature}")
    for other in KINDS:
        if other != algorithm:
            assert not accepts(it, sign(claims(), other))


TIMES = (
    st.none()
    | st.integers(NOW - 200, NOW + 200)
    | st.sampled_from([0, -1, 1e300, True, "1800000100", [NOW + 99], 10**400])
)
AUDIENCES = st.sampled_from(
    [None, AUDIENCE, "other", [AUDIENCE], ["other", AUDIENCE], [], ["other"], [AUDIENCE, 1], {"a": 1}]
)

BODIES = st.fixed_dictionaries(
    {
        "iss": st.sampled_from([ISSUER, ISSUER, ISSUER, ISSUER + "/", "", None, [ISSUER]]),
        "aud": AUDIENCES | st.just(AUDIENCE),
        "exp": TIMES | st.just(NOW + 100),
        "nbf": TIMES | st.none(),
        "iat": TIMES | st.none(),
        "sub": st.sampled_from(["ann", "ann", "ann", "", None, 7, "x" * 201, "a\nb", "\ud800", "Zoë"]),
        "jti": st.sampled_from([None, "", "j"]),
    }
)


def is_time(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12


def valid(body: dict[str, Any], *, leeway: int, max_age: int | None, require: list[str]) -> bool:
    """What RFC 7519 says, written for itself."""
    exp, nbf, iat, aud = (body.get(name) for name in ("exp", "nbf", "iat", "aud"))
    times = [value for name, value in body.items() if name in ("exp", "nbf", "iat")]
    return all(
        (
            body.get("iss") == ISSUER,
            aud == AUDIENCE or (isinstance(aud, list) and AUDIENCE in aud and all(isinstance(a, str) for a in aud)),
            exp is not None,
            all(is_time(value) for value in times),
            is_time(exp) and exp > NOW - leeway,
            nbf is None or (is_time(nbf) and nbf <= NOW + leeway),
            iat is None or (is_time(iat) and iat <= NOW + leeway),
            max_age is None or (is_time(iat) and iat > NOW - max_age - leeway),
            all(body.get(name) for name in require),
            isinstance(body.get("sub"), str) and 0 < len(body["sub"]) <= 200 and body["sub"].isprintable(),
        )
    )


@settings(max_examples=400, deadline=None)
@given(body=BODIES, leeway=st.sampled_from([0, 60]), max_age=st.sampled_from([None, 100]), need=st.booleans())
def test_exactly_the_valid_set(body: dict[str, Any], leeway: int, max_age: int | None, need: bool) -> None:
    body = {name: value for name, value in body.items() if value is not None}
    require = ["jti"] if need else []
    chosen = options(leeway=f"{leeway}s", require=require, **({"max_age": f"{max_age}s"} if max_age else {}))
    expected = valid(body, leeway=leeway, max_age=max_age, require=require)
    it, token = verifier(chosen, now=NOW), sign(body)
    assert accepts(it, token) is expected
    # Remembered or not, the answer is the same.
    assert accepts(it, token) is expected


def test_what_was_verified_expires_all_the_same() -> None:
    now = [float(NOW)]
    chosen = options(leeway="0s")
    it = Verifier(chosen, GivenKeys(from_jwks({"keys": [public(key("P-256"))]}, chosen.accepted)), lambda: now[0])
    token = sign(claims(iat=NOW, exp=NOW + 10))
    assert accepts(it, token)
    now[0] = NOW + 9.99
    assert accepts(it, token)
    now[0] = NOW + 10
    assert not accepts(it, token)


def head(**more: Any) -> bytes:
    return json.dumps({"alg": "ES256", **more}).encode()


def hmac_with_public_pem() -> str:
    """The public key taken for a secret."""
    text = b64(b'{"alg":"HS256"}') + b"." + b64(json.dumps(claims()).encode())
    mac = hmac.digest(key("P-256").as_pem(private=False), text, "sha256")
    return (text + b"." + b64(mac)).decode()


BODY = json.dumps(claims()).encode()
NONE = b'{"alg":"none"}'
ATTACKS: dict[str, str] = {
    "none": (b64(NONE) + b"." + b64(BODY) + b".").decode(),
    "none with a signature": raw(NONE, BODY),
    "None": raw(b'{"alg":"None"}', BODY),
    "algorithm confusion": hmac_with_public_pem(),
    "another key": sign(claims(), with_key=key("P-256", "other")),
    "another key under the same kid": sign(claims(), with_key=key("P-256", "other"), kid="k1"),
    "crit": raw(head(crit=["exp"]), BODY),
    "b64": raw(head(b64=False, crit=["b64"]), BODY),
    "jku": raw(head(jku="http://127.0.0.1:1/jwks"), BODY),
    "x5u": raw(head(x5u="http://127.0.0.1:1/"), BODY),
    "x5c": raw(head(x5c=["MII"]), BODY),
    "jwk": raw(head(jwk=public(key("P-256"))), BODY),
    "zip": raw(head(zip="DEF"), BODY),
    "no algorithm": raw(b"{}", BODY),
    "algorithm is a list": raw(b'{"alg":["ES256"]}', BODY),
    "algorithm twice": raw(b'{"alg":"none","alg":"ES256"}', BODY),
    "claim twice": raw(head(), b'{"sub":"eve",' + BODY[1:]),
    "claim twice, deep": raw(head(), BODY[:-1] + b',"x":{"a":1,"a":2}}'),
    "kid is a number": raw(head(kid=1), BODY),
    "kid is a path": raw(head(kid="../../dev/null"), BODY),
    "kid is empty": raw(head(kid=""), BODY),
    "kid is a page": raw(head(kid="k" * 201), BODY),
    "logout token": raw(head(typ="logout+jwt"), BODY),
    "typ is null": raw(head(typ=None), BODY),
    "NaN": raw(head(), BODY[:-1] + b',"x":NaN}'),
    "claims are a list": raw(head(), b"[]"),
    "claims are a text": raw(head(), b'"' + b"x" * 20 + b'"'),
    "claims are nothing": raw(head(), b""),
    "header is a list": raw(b"[]", BODY),
    "header is no JSON": raw(b"{alg:ES256}", BODY),
    "not UTF-8": raw(head(), BODY[:-1] + b',"x":"\xff"}'),
    "UTF-16": raw(head(), BODY.decode().encode("utf-16")),
    "byte order mark": raw(head(), b"\xef\xbb\xbf" + BODY),
    "too deep": raw(head(), BODY[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}"),
    "huge": sign(claims(x="y" * 9000)),
    "a number of 5000 digits": raw(head(), BODY[:-1] + b',"x":' + b"9" * 5000 + b"}"),
    "padding": sign(claims()) + "=",
    "four parts": sign(claims()) + ".x",
    "five parts (JWE)": "a.b.c.d.e",
    "two parts": sign(claims()).rpartition(".")[0],
    "no parts": "",
    "dots": "..",
    "spaces": sign(claims()).replace(".", " . "),
    "line break inside": sign(claims())[:40] + "\n" + sign(claims())[40:],
    "standard base64": sign(claims(x="??>>~~")).replace("-", "+").replace("_", "/") + "+/",
    "JSON serialisation": json.dumps({"payload": b64(BODY).decode(), "signatures": []}),
    "other bits in the last letter": "",
}


def malleable() -> str:
    """A valid token whose signature's last letter has bits that decoders leave out."""
    good = sign(claims())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = letters[letters.index(good[-1]) | 1]
    lenient = base64.urlsafe_b64decode(good.rpartition(".")[2][:-1] + other + "==")
    assert lenient == base64.urlsafe_b64decode(good.rpartition(".")[2] + "==")
    return good[:-1] + other


ATTACKS["other bits in the last letter"] = malleable()


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused(name: str) -> None:
    it = verifier(options())
    assert accepts(it, sign(claims()))
    assert not accepts(it, ATTACKS[name])
    assert not accepts(it, ATTACKS[name])


def test_es256_zero_signature_is_refused() -> None:
    """CVE-2022-21449, "psychic signatures"."""
    text = sign(claims()).rpartition(".")[0]
    assert not accepts(verifier(options()), f"{text}.{b64(bytes(64)).decode()}")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="eyJhbGciOi.=-_ ", max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    assert not accepts(verifier(options()), data.decode("latin-1"))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    good = sign(claims())
    place = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != good[place]))
    assert not accepts(verifier(options()), good[:place] + letter + good[place + 1 :])


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_token_without_kid_needs_the_one_key_that_fits() -> None:
    assert accepts(verifier(options(), key("P-256"), key("RSA")), sign(claims()))
    assert not accepts(verifier(options(), key("P-256"), key("P-256", "k2")), sign(claims()))
    assert accepts(verifier(options(), key("P-256"), key("P-256", "k2")), sign(claims(), kid="k1"))


def small_rsa() -> dict[str, Any]:
    from joserfc.jwk import RSAKey

    return {**public(RSAKey.generate_key(1024)), "kid": "small"}


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "not a key"),
        ({**public(key("RSA")), "e": "Aw"}, "exponent"),
        (dict(key("P-256").as_dict(private=True)), "private"),
        ({**public(key("P-256")), "use": "enc"}, "signatures"),
        ({**public(key("P-256")), "key_ops": ["sign"]}, "verifying"),
        ({**public(key("P-256")), "alg": "RS256"}, "none of the algorithms"),
        ({**public(key("P-256")), "alg": 5}, "none of the algorithms"),
        ({**public(key("P-256")), "kid": 5}, "kid"),
        ({**public(key("P-256")), "x": "AA"}, "not a key"),
        ({**public(key("P-256")), "crv": "secp256k1"}, ""),
        ({"kty": "XYZ"}, "kind"),
        ("text", "kind"),
        ({"kty": "oct", "k": "c2hvcnQ"}, "secret"),
    ],
)
def test_keys_that_are_not_used(member: Any, said: str) -> None:
    kinds = ("HS256",) if isinstance(member, dict) and member.get("kty") == "oct" else options().accepted
    found = from_jwks({"keys": [member]}, kinds)
    assert found.keys == ()
    assert said in found.skipped[0]


def test_weak_rsa_is_not_used() -> None:
    from vidops_plugins.middleware.jwt.roca import PRIMES, is_roca

    assert "1024 bits" in from_jwks({"keys": [small_rsa()]}, options().accepted).skipped[0]
    assert is_roca(pow(65537, 4711, prod(PRIMES)))
    assert not is_roca(key("RSA").public_key.public_numbers().n)


def test_a_set_of_secrets_and_public_keys_is_refused_whole() -> None:
    mixed = {"keys": [public(key("P-256")), {"kty": "oct", "k": b64(b"s" * 64).decode()}]}
    with pytest.raises(ValueError, match="mixes"):
        from_jwks(mixed, options().accepted)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "not a key", '{"keys": []}', '{"keys": 5}', "-----BEGIN PUBLIC KEY-----\nAAAA\n"]
)
def test_a_file_without_keys_is_told(text: str) -> None:
    with pytest.raises(PermanentError, match="`keys`"):
        from_text(text, options().accepted)


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-521", "OKP"])
def test_keys_from_pem_jwk_and_jwks(kind: str) -> None:
    algorithm = next(name for name, of in KINDS.items() if of == kind)
    pem = key(kind).as_pem(private=False).decode()
    one = json.dumps(public(key(kind)))
    for text in (pem, one, json.dumps({"keys": [public(key(kind))]})):
        it = Verifier(options(), GivenKeys(from_text(text, options().accepted)))
        assert accepts(it, sign(claims(), algorithm, kid="k1"))
    with pytest.raises(PermanentError, match="private"):
        from_text(key(kind).as_pem(private=True).decode(), options().accepted)


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_short_secret_is_refused(algorithm: str, least: int) -> None:
    assert from_secret("x" * least, [algorithm]).keys
    with pytest.raises(PermanentError, match="bytes"):
        from_secret("x" * (least - 1), [algorithm])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"algorithms": ["HS256", "RS256"]}, "mixes"),
        ({"secret": {"env": "X"}}, "exactly one"),
        ({"keys": None}, "exactly one"),
        ({"keys": None, "jwks_url": "https://a/b", "algorithms": ["HS256"]}, "not at any URL"),
        ({"keys": None, "secret": {"env": "X"}, "algorithms": ["RS256"]}, "HS"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"leeway": "6m"}, "5m"),
        ({"keys": None, "jwks_url": "https://user:pw@a/b"}, "URL"),
        ({"keys": None, "jwks_url": "file:///etc/passwd"}, "URL"),
        ({"from": [{"query": "t"}]}, "token"),
        ({"from": [{"query": "token", "cookie": "x"}]}, "exactly one"),
        ({"from": []}, "from"),
    ],
)
def test_options_that_do_not_fit(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        options(**more)


# -- in a gateway ------------------------------------------------------------------------------------------------------


@pytest.fixture
def guard(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "keys").write_text(json.dumps({"keys": [public(key("P-256"))]}))
    return {"issuer": ISSUER, "audience": AUDIENCE, "keys": {"file": str(tmp_path / "keys")}}


def routes(guard: dict[str, Any], **more: Any) -> list[Any]:
    return [route("/", "echo", chain=["access_log", {"type": "jwt", "options": {**guard, **more}}])]


async def test_a_valid_token_opens_and_is_not_passed_on(world: World, guard: dict[str, Any]) -> None:
    await world.start(routes(guard))
    token = sign(claims())
    answer = await get(world.port, "/", headers=f"Authorization: Bearer {token}\r\nX-Other: stays\r\n")
    assert answer.status == 200
    assert token.encode() not in answer.body
    assert b"stays" in answer.body
    assert token not in str(world.log)


async def test_refusals_are_as_rfc_6750_has_them(world: World, guard: dict[str, Any]) -> None:
    await world.start(routes(guard, scopes=["devices:read"]))
    none = await get(world.port, "/")
    assert (none.status, none.headers["www-authenticate"]) == (401, 'Bearer realm="vidops"')
    bad = await get(world.port, "/", headers="Authorization: Bearer a.b.c\r\n")
    assert bad.status == 401
    assert 'error="invalid_token"' in bad.headers["www-authenticate"]
    short = await get(world.port, "/", headers=f"Authorization: Bearer {sign(claims())}\r\n")
    assert short.status == 403
    assert 'error="insufficient_scope", scope="devices:read"' in short.headers["www-authenticate"]
    two = f"Authorization: Bearer {sign(claims())}\r\nAuthorization: Bearer {sign(claims(sub='bob'))}\r\n"
    several = await get(world.port, "/", headers=two)
    assert several.status == 400
    assert 'error="invalid_request"' in several.headers["www-authenticate"]
    good = sign(claims(scope="a devices:read"))
    assert (await get(world.port, "/", headers=f"Authorization: Bearer {good}\r\n")).status == 200


async def test_other_places_only_where_they_are_asked_for(world: World, guard: dict[str, Any]) -> None:
    token = sign(claims())
    await world.start(routes(guard))
    assert (await get(world.port, "/", headers=f"Cookie: token={token}\r\n")).status == 401
    assert (await get(world.port, f"/?access_token={token}")).status == 401
    assert token not in str(world.log)
    await world.edit(routes(guard, **{"from": [{"cookie": "token"}, {"query": "access_token"}]}))
    cookie = await get(world.port, "/", headers=f"Cookie: a=1; token={token}; b=2\r\n")
    assert cookie.status == 200
    assert token.encode() not in cookie.body
    assert b"a=1; b=2" in cookie.body
    query = await get(world.port, f"/?a=1&access_token={token}&b=2")
    assert query.status == 200
    assert json.loads(query.body)["query"] == "a=1&b=2"
    assert token not in str(world.log)
    assert (await get(world.port, "/", headers=f"Authorization: Bearer {token}\r\n")).status == 401


async def test_forward_passes_it_on(world: World, guard: dict[str, Any]) -> None:
    await world.start(routes(guard, forward=True))
    token = sign(claims())
    assert token.encode() in (await get(world.port, "/", headers=f"Authorization: Bearer {token}\r\n")).body
