"""`type: filter`: an FFmpeg filter, or several with commas between."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vidops_plugins.loopbacks.inlet import Inlet

OPENS_FILES = ("movie", "amovie", "sendcmd", "zmq", "azmq", "metadata", "subtitles", "ass")
"""Filters that read or write files or sockets: a graph is frames in, frames out."""


def check_chain(text: str) -> str:
    """A plain chain: no links or further chains (the graph is the stack file's), nothing that opens files."""
    if re.search(r"[\[\];\x00-\x1f]", text):
        raise ValueError("a chain of filters without [links] and ';': further branches are nodes of the graph")
    for part in text.split(","):
        name = part.strip().partition("=")[0].partition("@")[0].strip()
        if name in OPENS_FILES:
            raise ValueError(f"the filter {name} opens files or sockets, which a graph's filter may not")
    return text


class Filter(Inlet):
    """Changes frames on their way."""

    type: Literal["filter"]
    filter: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(check_chain)]
    """In FFmpeg's words: "boxblur=8", "hflip,scale=320:-2"."""


def text(options: Filter) -> str:
    return options.filter
