"""`type: http`: the event as JSON in a POST request."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from vidops.api import Deliver, EventHook, EventHookContext, PermanentError, SecretRef, TemporaryError

TRY_AGAIN = (408, 425, 429)


class Http(EventHook):
    """Posts JSON. An answer of 2xx is delivered; 5xx, 408, 425 and 429 are tried again, others are not."""

    type: Literal["http"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2000)]
    """Where to. Redirects are not followed."""
    authorization: SecretRef | None = None
    """The whole value of the Authorization header."""

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        if "@" in value.split("/")[2]:
            raise ValueError("a URL is shown in plans and logs: give credentials by `authorization`")
        return value


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """No: the event was meant for where it was sent."""


def build(options: Http, context: EventHookContext) -> Deliver:
    # No proxy of the environment either.
    opener = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))

    def post(body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "vidops"}
        if options.authorization is not None:
            headers["Authorization"] = context.secret(options.authorization)
        request = urllib.request.Request(options.url, body, headers, method="POST")  # noqa: S310 - http(s) by its pattern
        try:
            with opener.open(request, timeout=options.timeout):
                return
        except urllib.error.HTTPError as error:
            with error:
                kind = TemporaryError if error.code >= 500 or error.code in TRY_AGAIN else PermanentError
                raise kind(f"HTTP {error.code} {error.reason}", reason="Refused") from None
        except urllib.error.URLError as error:
            raise TemporaryError(f"{options.url}: {error.reason}", reason="Unreachable") from None

    async def deliver(event: Mapping[str, Any]) -> None:
        await asyncio.to_thread(post, json.dumps(dict(event)).encode())

    return deliver
