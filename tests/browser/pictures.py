"""What an `<img>` of the console shows at a moment."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page

_DRAW = """(image) => {
    if (!image.naturalWidth) return "";
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/png");
}"""


async def picture(page: Page, camera: str) -> str:
    """What is seen of a camera right now, as a data URL; empty before its first frame."""
    drawn: str = await page.get_by_alt_text(f"Live picture of {camera}", exact=True).evaluate(_DRAW)
    return drawn


async def moves(page: Page, camera: str, timeout: float = 20.0) -> None:
    """Return once three different pictures have been seen."""
    seen: set[str] = set()
    async with asyncio.timeout(timeout):
        while len(seen) < 3:
            if drawn := await picture(page, camera):
                seen.add(drawn)
            await asyncio.sleep(0.02)
