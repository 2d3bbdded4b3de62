"""`quart`: a user's own application inside a gateway: mounted, started, ended, and its mistakes told."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route, until
from tests.gateway.ws import Socket
from vidops.errors import PermanentError
from vidops.gateway.route import CALLBACK_TIMEOUT
from vidops_plugins.handlers import application

QUART = """
from quart import Quart, request, url_for

app = Quart(__name__)
happened = []


@app.before_serving
async def begin():
    happened.append("begin")


@app.after_serving
async def end():
    happened.append("end")


@app.get("/hello/<name>")
async def hello(name):
    return {"hello": name, "self": url_for("hello", name=name), "query": request.args.get("q")}


@app.post("/echo")
async def echo():
    return await request.get_data()


@app.get("/broken")
async def broken():
    raise RuntimeError("the secret inside is 4711")


@app.websocket("/ws")
async def ws():
    from quart import websocket

    await websocket.send(await websocket.receive())


def make():
    return app


text = "no application"


def failing():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    return app


def leaving(step="startup"):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != f"lifespan.{step}":
                await send({"type": "lifespan.startup.complete"})
        raise SystemExit(4)

    return app


def hanging():
    async def app(scope, receive, send):
        try:
            await receive()
            await receive()
        finally:
            happened.append("let go")

    return app


def silent():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    return app


def leaving_late():
    return leaving("shutdown")


def plain():
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("only http")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['root_path']}|{scope['path']}".encode()})

    return app
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_gateway_app.py").write_text(QUART)
    (tmp_path / "my_exiting_app.py").write_text("import sys\n\nsys.exit(3)\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_gateway_app", raising=False)
    return tmp_path


async def test_it_is_mounted_at_its_route(world: World, mine: Path) -> None:
    options = {"app": "my_gateway_app:app", "directory": str(mine)}
    await world.start([route("/mine/**", "quart", **options)])
    happened = sys.modules["my_gateway_app"].happened
    assert happened == ["begin"]
    answer = await get(world.port, "/mine/hello/you?q=1")
    assert answer.json() == {"hello": "you", "self": "/mine/hello/you", "query": "1"}
    assert (await get(world.port, "/mine/echo", method="POST", body=b"bytes")).body == b"bytes"
    assert (await get(world.port, "/mine/nowhere")).status == 404
    broken = await get(world.port, "/mine/broken")
    assert broken.status == 500
    assert b"4711" not in broken.body
    async with Socket(world.port, "/mine/ws") as ws:
        await ws.send({"over": "and over"})
        assert await ws.get() == {"over": "and over"}
    await world.start([route("/", "respond")])
    await until(lambda: happened == ["begin", "end"], "it ends with its route")


async def test_any_asgi_application_will_do(world: World, mine: Path) -> None:
    options = {"app": "my_gateway_app:plain()", "directory": str(mine)}
    await world.start([route("/a/**", "quart", **options), route("/b", "quart", **options)])
    assert (await get(world.port, "/a/x/y")).body == b"/a|/a/x/y"
    assert (await get(world.port, "/a")).body == b"/a|/a"
    assert (await get(world.port, "/b")).body == b"/b|/b"


SITE = """
import helpers
from desk import views
import desk.views as again
import typing
from dataclasses import dataclass

made = []


@dataclass
class Note:
    text: "str"
    of: typing.ClassVar["list[Note]"] = []


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    import late
    from desk.deep import where

    made.append(Note("x"))
    said = [helpers.WHO, views.WHO, again.nephew(), late.WHO, where(), str(len(made))]
    said.append(typing.get_type_hints(Note)["text"].__name__)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": " ".join(said).encode()})
"""


async def test_each_directory_has_modules_of_its_own(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for who in "abc":
        (tmp_path / who / "desk").mkdir(parents=True)
        who_is_it = f"WHO = {who!r}\n"
        for name in ("helpers", "late", "desk/__init__", "desk/near"):
            (tmp_path / who / f"{name}.py").write_text(who_is_it)
        (tmp_path / who / "siteapp.py").write_text(SITE)
        (tmp_path / who / "desk" / "views.py").write_text(
            "from . import WHO\n\n\ndef nephew():\n    from .near import WHO\n    return WHO\n"
        )
        (tmp_path / who / "desk" / "deep.py").write_text("import desk\n\n\ndef where():\n    return desk.near.WHO\n")
    routes = [route(f"/{w}/**", "quart", app="siteapp:app", directory=str(tmp_path / w)) for w in "abc"]
    await world.start([*routes, route("/again/**", "quart", app="siteapp:app", directory=str(tmp_path / "b"))])
    for who in "abc":
        assert (await get(world.port, f"/{who}/x")).body.decode() == f"{who} {who} {who} {who} {who} 1 str"
    # The same directory is the same module.
    assert (await get(world.port, "/again/x")).body.decode() == "b b b b b 2 str"
    for name in ("siteapp", "helpers", "late", "desk"):
        sys.modules.pop(name)


async def test_what_is_installed_can_have_the_name_of_a_users_module(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text(f"import math, quart\nfrom os import path\n{PLAIN}")
    await world.start([route("/**", "quart", app="json:app", directory=str(tmp_path))])
    assert (await get(world.port, "/x")).body == b"plain"
    assert not hasattr(sys.modules["json"], "app")


PLAIN = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})
"""


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("my_gateway_app:nothing", "AttributeError"),
        ("nowhere_at_all:app", "ModuleNotFoundError"),
        ("my_gateway_app:text", "cannot be called"),
        ("my_gateway_app:failing()", "no database"),
        ("my_exiting_app:app", "SystemExit: 3"),
        ("my_gateway_app:leaving()", r"startup failed: SystemExit\(4\)"),
    ],
)
async def test_what_does_not_work_is_said_and_nothing_is_served(world: World, mine: Path, app: str, says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        await world.start([route("/**", "quart", app=app, directory=str(mine))])


async def test_one_that_exits_ends_no_gateway(world: World, mine: Path) -> None:
    options = {"app": "my_gateway_app:leaving_late()", "directory": str(mine)}
    await world.start([route("/x", "quart", **options), route("/y", "respond", body="y")])
    assert (await get(world.port, "/x")).status == 500
    await world.edit([route("/y", "respond", body="y")])
    await until(lambda: any("SystemExit(4)" in r.get("error", "") for r in world.log), "it is told")
    assert (await get(world.port, "/y")).body == b"y"


async def test_one_that_does_not_start_in_time_is_said_to_and_let_go(
    world: World, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The gateway's own patience is longer: else there would be no text.
    assert application.START_TIMEOUT < CALLBACK_TIMEOUT
    monkeypatch.setattr(application, "START_TIMEOUT", 0.2)
    with pytest.raises(PermanentError, match=r"startup takes longer than 0\.2s"):
        await world.start([route("/x", "quart", app="my_gateway_app:hanging()", directory=str(mine))])
    await until(lambda: sys.modules["my_gateway_app"].happened == ["let go"], "it is let go")


async def test_one_that_returns_where_it_is_asked_to_start_needs_no_start(world: World, mine: Path) -> None:
    async with asyncio.timeout(5):
        await world.start([route("/x", "quart", app="my_gateway_app:silent()", directory=str(mine))])
    assert (await get(world.port, "/x")).status == 204
