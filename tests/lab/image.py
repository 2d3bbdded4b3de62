"""The guest's image: built by `image/build.sh`, once for each state of that recipe."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache, digest

RECIPE = Path(__file__).parent / "image"


@dataclass(frozen=True, slots=True)
class Image:
    """A bootable guest on disk (never written: each run works on an overlay) and the key that opens it."""

    directory: Path
    private_key: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.raw"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def host_key(self) -> str:
        """The guest's public ssh host key: type and key, without its comment."""
        return " ".join((self.directory / "host_key.pub").read_text().split()[:2])


def ensure_image(cache: Cache) -> Image:
    """The image of today's recipe, built first where the cache has none (a quarter of an hour, as root)."""
    key = cache.get("ssh", "key", _make_key) / "id_ed25519"
    public = key.with_suffix(".pub")
    recipe = digest([*_recipe_facts(), public.read_bytes()])

    def build(directory: Path) -> None:
        log = cache.root / "image-build.log"
        with log.open("w") as out:
            built = subprocess.run(
                ["nice", "-n", "10", RECIPE / "build.sh", directory, public],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if built.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"building the lab's image failed (all of it is in {log}):\n{tail}")

    return Image(cache.get("image", recipe, build), key)


def _recipe_facts() -> Iterator[str | bytes]:
    for path in sorted(p for p in RECIPE.rglob("*") if p.is_file()):
        yield str(path.relative_to(RECIPE))
        yield oct(path.stat().st_mode & 0o111)
        yield path.read_bytes()


def _make_key(directory: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vidops-lab", "-f", directory / "id_ed25519"], check=True
    )
