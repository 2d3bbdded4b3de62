"""What is asked of recordings as a whole: the list, the timeline, the playlist; and what is done to one of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from vidops.api import (
    ORIGIN,
    GatewayContext,
    PermanentError,
    Scope,
    Send,
    TemporaryError,
    VidopsError,
    header,
    may_do,
    query,
    respond,
    respond_json,
    respond_problem,
    restricted,
)

MAX_LIMIT = 1000
ALL = 10_000
WIDTHS = range(16, 1921)
STATUS = {"NothingRecorded": 404, "NoRecording": 404, "NoPicture": 404, "SeveralCaptures": 409, "NotPlayable": 409}
SITES = (b"same-origin", b"none")


async def listed(scope: Scope, send: Send, context: GatewayContext) -> None:
    """The list, or another view of it."""
    asked = query(scope)
    try:
        match asked.get("view", "list"):
            case "list":
                search, limit = _search(asked, begin=0.0, end=MAX_TIME), _limit(asked)
                # Those that are not shown must not take the place of those that are.
                rows = await context.recordings.list(**search, limit=ALL if restricted(scope) else limit)
                seen = [dict(row) for row in rows if may_do(scope, "recordings", str(row["camera"]))]
                await respond_json(scope, send, {"recordings": seen[:limit]})
            case "timeline":
                lines = await context.recordings.timeline(**_search(asked))
                seen = [dict(line) for line in lines if may_do(scope, "recordings", str(line["camera"]))]
                await respond_json(scope, send, {"timeline": seen})
            case "hls":
                search = _search(asked)
                if restricted(scope) and not search["camera"]:
                    raise ValueError("say which `camera`")
                if not may_do(scope, "recordings", str(search["camera"])):
                    raise PermanentError("nothing was recorded then", reason="NothingRecorded")
                base = str(scope["path"]).rstrip("/")
                text = await context.recordings.playlist(
                    **search, locate=lambda path: quote(f"{base}/{path}")
                )  # fmt: skip
                fixed = [(b"cache-control", b"no-store")]
                kind = "application/vnd.apple.mpegurl"
                await respond(scope, send, 200, text.encode(), content_type=kind, headers=fixed)
            case other:
                raise ValueError(f"view is list, timeline or hls, not {other[:50]!r}")
    except ValueError as error:
        await respond_problem(scope, send, 400, str(error))
    except PermanentError as error:
        await respond_problem(scope, send, STATUS.get(error.reason, 409), str(error), reason=error.reason)


MAX_TIME = 1e12


def _search(asked: Mapping[str, str], **defaults: float) -> dict[str, Any]:
    """Raises `ValueError` for a time that is none; where there is no default, it has to be given."""
    found: dict[str, Any] = {"camera": asked.get("camera", ""), "capture": asked.get("capture", "")}
    for name, word in (("begin", "from"), ("end", "to")):
        if word in asked:
            found[name] = _time(word, asked[word])
        elif name in defaults:
            found[name] = defaults[name]
        else:
            raise ValueError(f"say `{word}`: Unix seconds, or ISO 8601 like 2026-11-25T10:00:00Z")
    if found["begin"] >= found["end"]:
        raise ValueError("`from` must be before `to`")
    return found


def _time(word: str, text: str) -> float:
    try:
        if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 20:
            return float(text)
        # A plus sign in a query is a space.
        return datetime.fromisoformat(text[:40].replace(" ", "+") if "T" in text else text[:40]).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"`{word}` is no time: Unix seconds, or ISO 8601 like 2026-11-25T10:00:00Z") from None


def _limit(asked: Mapping[str, str]) -> int:
    text = asked.get("limit", "100")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LIMIT:
        raise ValueError(f"limit is a number from 1 to {MAX_LIMIT}")
    return int(text)


async def may_have(scope: Scope, context: GatewayContext, path: str) -> bool:
    """Whether this request may have the recording at a path; what is not known to be of a camera of its own is not."""
    if not restricted(scope):
        return True
    row = await context.recordings.find(path)
    return row is not None and may_do(scope, "recordings", str(row["camera"]))


async def thumbnail(scope: Scope, send: Send, context: GatewayContext, path: str) -> None:
    """The first picture of a finished recording."""
    text = query(scope)["thumbnail"] or "320"
    if not text.isascii() or not text.isdigit() or int(text[:9]) not in WIDTHS:
        await respond_problem(scope, send, 400, f"thumbnail is a width from {WIDTHS[0]} to {WIDTHS[-1]}")
        return
    if any(part.startswith(".") or not part for part in path.split("/")) or "\0" in path:
        await respond_problem(scope, send, 404, "there is no such recording", reason="NoRecording")
        return
    try:
        image = await context.recordings.thumbnail(path, int(text))
    except PermanentError as error:
        await respond_problem(scope, send, STATUS.get(error.reason, 409), str(error), reason=error.reason)
    except TemporaryError as error:
        retry = [(b"retry-after", b"2")]
        await respond_problem(scope, send, 503, str(error), reason=error.reason, headers=retry)
    else:
        fixed = [(b"cache-control", b"private, max-age=3600")]
        await respond(scope, send, 200, image, content_type="image/jpeg", headers=fixed)


async def change(scope: Scope, send: Send, context: GatewayContext, path: str) -> None:
    """Keep or delete; the control plane does it, as the one who writes the index."""
    if not same_site(scope):
        await respond_problem(scope, send, 403, "another site's page may not do this", reason="CrossSite")
        return
    row = await context.recordings.find(path) if restricted(scope) else None
    if row is not None and not may_do(scope, "edits", str(row["camera"])):
        await respond_problem(scope, send, 403, "you may look at this recording, and not change it", reason="Forbidden")
        return
    kept = query(scope).get("keep", "")
    if scope["method"] == "POST" and kept not in ("true", "false"):
        await respond_problem(scope, send, 400, "say ?keep=true or ?keep=false")
        return
    deleting = scope["method"] == "DELETE"
    body = {"path": path} if deleting else {"path": path, "kept": kept == "true"}
    try:
        await context.control.post(f"/v1/recordings/{'delete' if deleting else 'keep'}", body)
    except VidopsError as error:
        reason = getattr(error, "reason", "")
        status = 503 if isinstance(error, TemporaryError) else STATUS.get(reason, 409)
        retry = [(b"retry-after", b"2")] if status == 503 else []
        await respond_problem(scope, send, status, str(error), reason=reason, headers=retry)
    else:
        await respond(scope, send, 204)


def same_site(scope: Scope) -> bool:
    """Whether a browser sends this for a page of ours, or it is no browser at all."""
    if scope.get(ORIGIN):
        return True
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site is not None and site not in SITES:
        return False
    host = (header(scope, b"host") or b"").decode("latin-1")
    return origin is None or (host != "" and urlsplit(origin.decode("latin-1")).netloc == host)
