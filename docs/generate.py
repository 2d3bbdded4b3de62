"""The pages of docs/reference that are made from the code: `python docs/generate.py` writes them, tests compare.

`pages()` gives every page by its name; what is in them comes from click's commands, from the settings model and from
the JSON Schema of stack files, so a page can be old but never wrong in its own words.

Over 400 lines, since each page is a function of its own and all of them share the tables at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from vidops.app.settings import Settings
from vidops.cli.root import COMMANDS, root
from vidops.resources.catalogue import Catalogue
from vidops.runtime.plugins import load_catalogue
from vidops.stack.schema import json_schema

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py: edit what it is made from. -->\n"
SCALARS = {
    "10s": "duration",
    "64MiB": "size",
    "1280x720": "video size",
    "0.0.0.0:8080": "address",
    "/stream/**": "path",
}
"""Words for types of scalars, by the first example in their schema."""
DEFAULTS = {
    "run_dir": "`/run/vidops` for root, else `$XDG_RUNTIME_DIR/vidops`, else `/tmp/vidops-<uid>`",
    "state_dir": "`/var/lib/vidops` for root, else `$XDG_STATE_HOME/vidops`, else `~/.local/state/vidops`",
}
FLAGS = {"on_exit": "`--on-exit` of `vidops run`"}

PAGES = {"Match": "sources.md"} | dict.fromkeys(
    ("Segment", "ScheduleOptions", "RetentionOptions", "Encoding", "Overlay", "Audio"), "captures.md"
)
TITLES = {"ScheduleOptions": "schedule", "RetentionOptions": "retention", "Encoding": "codec"}

SHARED = (
    "Metadata",
    "StackSettings",
    "Mode",
    "OnDemandOptions",
    "Loopback",
    "Gateway",
    "Route",
    "TLS",
    "SecretRef",
)
PLACES: dict[str, str] = {}
"""Page and anchor of definitions that are a type's options."""

Schema = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Text by file name."""
    catalogue = load_catalogue()
    schema = json_schema(catalogue)
    PLACES.update(_typed(schema))
    return {
        "cli.md": cli(),
        "settings.md": settings(),
        "stack-file.md": stack_file(schema),
        "sources.md": sources(schema, catalogue),
        "captures.md": captures(schema, catalogue),
        "loopback-nodes.md": nodes(schema, catalogue),
        "middleware.md": middleware(schema, catalogue),
        "handlers.md": handlers(schema, catalogue),
        "servers.md": servers(schema, catalogue),
        "hooks.md": hooks(schema, catalogue),
        "uploads.md": uploads(schema, catalogue),
        "tenants.md": tenants(schema, catalogue),
    }


# -- commands ------------------------------------------------------------------------------------------------------


def cli() -> str:
    context = click.Context(root, info_name="vidops")
    parts = [
        f"# Commands\n\n{NOTE}",
        "Every command has `--help`. Exit codes are on [a page of their own](exit-codes.md); host settings, and which "
        "of flag, variable and file goes first, on [another](settings.md).\n",
        "## Before the command\n\n" + _parameters(root, context),
    ]
    for name in sorted(COMMANDS):
        command = root.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        parts.append(_command("##", f"vidops {name}", command, inner))
        for word in command.list_commands(inner) if isinstance(command, click.Group) else ():
            below = command.get_command(inner, word)
            assert below is not None
            deeper = click.Context(below, info_name=word, parent=inner)
            parts.append(_command("###", f"vidops {name} {word}", below, deeper))
    return "\n".join(parts)


def _command(mark: str, title: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    told = " ".join((command.help or "").split())
    text = f"{mark} {title}\n\n```text\n{usage}\n```\n\n{told}\n\n{_parameters(command, context)}"
    return text.rstrip() + "\n"


def _parameters(command: click.Command, context: click.Context) -> str:
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            rows.append((f"`{record[0]}`", record[1]))
    return _table(("option", "what"), rows) if rows else ""


# -- host settings ---------------------------------------------------------------------------------------------------


def settings() -> str:
    flags = {option.name for option in root.params}
    rows = []
    for name, field in Settings.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`" if name in flags else FLAGS.get(name, "")
        default = DEFAULTS.get(name) or (_value(field.default) if not field.default_factory else "none")
        rows.append((f"`VIDOPS_{name.upper()}`", flag, default, field.description or ""))
    return "\n".join(
        (
            f"# Host settings\n\n{NOTE}",
            "What differs between hosts and does not belong in a stack file.\n",
            _table(("variable", "flag", "default", "what"), rows),
            "Lists are written as JSON in a variable: `VIDOPS_BLOCKED_PLUGINS='[\"acme\"]'`. An empty variable counts "
            "as not set.\n",
            "## Which goes first\n\nThe first that says something counts:\n",
            "1. the flag;\n2. the variable in the environment;\n3. the same variable in a file `.env` in the working "
            "directory;\n4. a file of the secrets directory (`VIDOPS_SECRETS_DIR`, default `/run/secrets/vidops`), "
            "named like the variable, in small letters (`vidops_data_dir`);\n5. the stack file's `settings`, which "
            "has `data_dir`;\n6. the default.\n",
            "`VIDOPS_FFMPEG` (a path) says which FFmpeg is used; without it, the one in `PATH`, else the one of the "
            "package imageio-ffmpeg. It is read from the environment alone.\n",
        )
    )


# -- the stack file --------------------------------------------------------------------------------------------------


def stack_file(schema: Schema) -> str:
    parts = [
        f"# The stack file\n\n{NOTE}",
        "YAML, at most 1 MiB a file. `vidops check FILE` tells all mistakes at once; "
        "[the JSON Schema](../../schemas/stack.v1.schema.json) lets editors do so as you write. "
        "Unknown keys are errors. "
        "Texts may hold variables (`${NAME}`, `${NAME:-default}`, `${NAME:?message}`; `$$` is a dollar).\n",
        _options({**schema, "properties": {k: _section(v) for k, v in schema["properties"].items()}}),
        "Entries of `devices` are [sources](sources.md), of `captures` [captures](captures.md), of a graph's `nodes` "
        "[loopback nodes](loopback-nodes.md), links of chains [middleware](middleware.md), ends of routes "
        "[handlers](handlers.md), a gateway's `server` [one of these](servers.md). Which of them there are depends "
        "on the plugins that are installed; these pages list the built-in ones.\n",
        "## Scalars\n",
        _table(
            ("type", "written", "means"),
            (
                ("duration", "`250ms` `10s` `5m` `1h30m` `30d`", "a number always has its unit: ms, s, m, h, d, w"),
                ("size", "`64KiB` `50GiB` `10MB`", "bytes; B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
                ("video size", "`1280x720`", "width and height in pixels"),
                ("address", "`127.0.0.1:8080` `[::]:8080` `unix:/run/web.sock`", "where a gateway listens"),
                ("path", "`/exact` `/one/*` `/all/**`", "a route; `*` is one segment, `**` everything below"),
                ("name", "`door-2`", "small letters, digits, `-` and `_`; at most 48"),
            ),
        ),
    ]
    for name in (*SHARED, *_others(schema)):
        parts.append(f"## {_title(name)}\n\n{schema['$defs'][name].get('description', '')}\n")
        parts.append(_options(schema["$defs"][name]))
    return "\n".join(parts)


def _others(schema: Schema) -> list[str]:
    """Definitions that something refers to and that no page has a place for: nested options of plugins."""
    referred = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    mine = (n for n in referred if n not in (*SHARED, *PAGES, *_typed(schema)) and "properties" in schema["$defs"][n])
    return sorted(mine, key=_title)


def _typed(schema: Schema) -> dict[str, str]:
    """Definitions of a type's options, by the page and anchor that tell of it."""
    found = {}
    for page, arms in (
        ("middleware.md", schema["$defs"]["Gateway"]["properties"]["chain"]["items"]),
        ("handlers.md", schema["$defs"]["Route"]["properties"]["handler"]),
        ("servers.md", schema["$defs"]["Gateway"]["properties"]["server"]),
    ):
        for arm in arms.get("oneOf") or arms.get("anyOf") or [arms]:
            name = arm.get("$ref", "").rpartition("/")[2]
            kind = schema["$defs"].get(name, {}).get("properties", {}).get("type", {}).get("const")
            if kind:
                found[name] = f"{page}#{kind}"
    sections = [
        schema["properties"][name]["anyOf"][0] for name in ("devices", "captures", "hooks", "uploads", "tenants")
    ]
    for entries in (*sections, schema["$defs"]["Loopback"]["properties"]["nodes"]):
        arms = entries["additionalProperties"]
        for arm in arms.get("oneOf") or arms.get("anyOf") or [arms]:
            found.setdefault(arm.get("$ref", "").rpartition("/")[2], "")
    return found


def _section(schema: Schema) -> Schema:
    return {**schema, "anyOf": [{"type": "object"}]} if "anyOf" in schema else schema


def _title(definition: str) -> str:
    return {
        "StackSettings": "settings",
        "OnDemandOptions": "on_demand",
        "SecretRef": "Secret references",
        "TLS": "tls",
        **TITLES,
    }.get(definition, definition.lower())


def sources(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["properties"]["devices"]["anyOf"][0]["additionalProperties"]
    found = {s["properties"]["source"]["const"]: s for s in _arms(entries, schema)}
    shared = [k for k in found["testsrc"]["properties"] if all(k in s["properties"] for s in found.values())]
    own = [k for k in shared if k not in ("source", "quality")]
    parts = [
        f"# Sources\n\n{NOTE}",
        "`source: <name>` in an entry of `devices`: where a camera's frames come from.\n",
        "## Every source has\n",
        _options(_only(found["testsrc"], own)),
    ]
    for name, kind in sorted(catalogue.sources.items()):
        rest = [k for k in found[name]["properties"] if k not in (*own, "source")]
        parts += [f"## {name}\n\n{kind.summary}\n", _options(_only(found[name], rest))]
    parts += [f"## match\n\n{schema['$defs']['Match']['description']}\n", _options(schema["$defs"]["Match"])]
    return "\n".join(parts)


def captures(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["properties"]["captures"]["anyOf"][0]["additionalProperties"]
    intro = "`type: <name>` in an entry of `captures`. `segments` is taken where none is given.\n"
    more = ["## segment\n\nAn entry's `segment`.\n", _options(schema["$defs"]["Segment"])]
    for title, name in (
        ("schedule", "ScheduleOptions"),
        ("retention", "RetentionOptions"),
        ("codec", "Encoding"),
        ("overlay", "Overlay"),
        ("audio", "Audio"),
    ):
        definition = schema["$defs"][name]
        more += [f"## {title}\n\n{definition['description']}\n", _options(definition)]
    return _types("Captures", intro, catalogue.captures, _arms(entries, schema), more)


def hooks(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["properties"]["hooks"]["anyOf"][0]["additionalProperties"]
    intro = (
        "`type: <name>` in an entry of `hooks`: who is told of what happens. Each has a queue of its own; see "
        "[how to be told](../how-to/be-told.md), with what is in an event.\n"
    )
    return _types("Hooks", intro, catalogue.hooks, _arms(entries, schema))


def tenants(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["properties"]["tenants"]["anyOf"][0]["additionalProperties"]
    intro = (
        "`type: <name>` in an entry of `tenants`: a directory of tenants, and whose cameras are whose. The "
        "[`tenant` middleware](middleware.md#tenant) asks it; "
        "[how to let only some in](../how-to/restrict-access.md).\n"
    )
    return _types("Directories of tenants", intro, catalogue.tenants, _arms(entries, schema))


def uploads(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["properties"]["uploads"]["anyOf"][0]["additionalProperties"]
    intro = (
        "`type: <name>` in an entry of `uploads`: where finished recordings are copied to, each by a process of its "
        "own, oldest first. Retention of a capture waits until every upload that its name fits has confirmed a file.\n"
    )
    return _types("Uploads", intro, catalogue.uploads, _arms(entries, schema))


def nodes(schema: Schema, catalogue: Catalogue) -> str:
    entries = schema["$defs"]["Loopback"]["properties"]["nodes"]["additionalProperties"]
    intro = (
        "`type: <name>` of a node in a graph of `loopbacks`. A graph has cameras, filters and sinks; "
        "`in` says whose frames a node takes.\n"
    )
    return _types("Loopback nodes", intro, catalogue.nodes, _arms(entries, schema))


def middleware(schema: Schema, catalogue: Catalogue) -> str:
    links = _arms(schema["$defs"]["Gateway"]["properties"]["chain"]["items"], schema)
    intro = (
        "A link of a chain: in `middleware.<chain>`, or in the `chain` of a gateway or a route. The first in a list is "
        "the outermost: requests pass the gateway's chain, then the route's, from first to last, and answers come back "
        "the other way. A link without options is its name alone.\n"
    )
    return _types("Middleware", intro, catalogue.middleware, links)


def handlers(schema: Schema, catalogue: Catalogue) -> str:
    ends = _arms(schema["$defs"]["Route"]["properties"]["handler"], schema)
    intro = (
        "`handler: {type: <name>}` of a route: what answers there. [What each of them answers](http.md) is on a page "
        "of its own.\n"
    )
    return _types("Handlers", intro, catalogue.handlers, ends)


def servers(schema: Schema, catalogue: Catalogue) -> str:
    found = _arms(schema["$defs"]["Gateway"]["properties"]["server"], schema)
    intro = (
        "`server: {type: <name>}` of a gateway: what speaks HTTP with its clients. Hypercorn where none is named. All "
        "of them refuse the same, and hold clients to the same limits. After an edit new connections are served by the "
        "new one; those established stay with theirs.\n"
    )
    return _types("Servers", intro, catalogue.servers, found)


def _types(title: str, intro: str, kinds: Mapping[str, Any], arms: Iterable[Schema], more: Iterable[str] = ()) -> str:
    found = {a["properties"]["type"]["const"]: a for a in arms}
    parts = [f"# {title}\n\n{NOTE}", intro]
    for name, kind in sorted(kinds.items()):
        said = found[name].get("description", "")
        about = kind.summary if said in ("", kind.summary) else f"{kind.summary} {said}"
        rest = [k for k in found[name]["properties"] if k != "type"]
        parts.append(f"## {name}\n\n{_plain(about)}\n")
        parts.append(_options(_only(found[name], rest)) if rest else "No options.\n")
    return "\n".join((*parts, *more))


def _arms(schema: Schema, document: Schema) -> list[Schema]:
    """The classes that an entry may be of."""
    arms = schema.get("oneOf") or schema.get("anyOf") or [schema]
    resolved = [document["$defs"][a["$ref"].rpartition("/")[2]] if "$ref" in a else a for a in arms]
    return [a for a in resolved if "properties" in a]


def _only(schema: Schema, names: Iterable[str]) -> Schema:
    return {**schema, "properties": {n: schema["properties"][n] for n in names}}


# -- options as tables -----------------------------------------------------------------------------------------------


def _options(schema: Schema) -> str:
    required = schema.get("required", ())
    rows = []
    for name, value in schema["properties"].items():
        default = "**required**" if name in required else _value(value.get("default"))
        rows.append((f"`{name}`", words(value), default, value.get("description", "")))
    return _table(("key", "type", "default", "what"), rows)


def words(schema: Schema) -> str:
    """A type as people say it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == "Variable":
            return ""
        if place := PLACES.get(name):
            return f"[{place.rpartition('#')[2]}]({place})"
        anchor = _title(name).lower().replace(" ", "-")
        page = PAGES.get(name, "stack-file.md")
        return f"[{_title(name)}]({page}#{anchor})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(w for w in map(words, schema[several]) if w))
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {words(schema.get('items', {})) or 'entries'}"
    if kind == "object":
        inner = words(schema["additionalProperties"]) if isinstance(schema.get("additionalProperties"), Mapping) else ""
        return f"mapping of {inner}" if inner else "mapping"
    if kind == "string":
        return SCALARS.get((schema.get("examples") or [""])[0], "text")
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum")
        above = f"above {low}" if "exclusiveMinimum" in schema else str(low)
        word = "number" if kind == "number" else "whole number"
        return word if low is None else f"{word}, {above} to {high}" if high is not None else f"{word}, from {above}"
    return {"boolean": "`true`, `false`", "null": ""}.get(kind, "")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in (None, "", [], ()):
        return ""
    return f"`{value}`"


def _plain(text: str) -> str:
    """Angle brackets outside of code would be taken for HTML."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(_plain(" ".join(c.split())).replace("|", "\\|") for c in cells) + " |"

    heads = tuple(heads)
    return "\n".join((line(heads), "|" + "---|" * len(heads), *map(line, rows))) + "\n"


def main() -> None:
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
