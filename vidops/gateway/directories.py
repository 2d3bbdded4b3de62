"""Directories of tenants in a gateway: one of each, however many routes look into it, closed after the last of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vidops.errors import PermanentError
from vidops.resources.catalogue import Catalogue
from vidops.resources.identity import TenantContext, TenantDirectory
from vidops.resources.resource import fingerprint
from vidops.resources.specs import SecretRef, TenantsSpec

Callbacks = list[Callable[[], Awaitable[None]]]
Find = Callable[[str], TenantDirectory]


@dataclass(slots=True)
class _Shared:
    directory: TenantDirectory
    users: int = 0


class Directories:
    """`of_route` gives what `GatewayContext.tenants` is for one route."""

    def __init__(
        self,
        catalogue: Catalogue,
        secret: Callable[[SecretRef], str],
        log: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._catalogue = catalogue
        self._secret = secret
        self._log = log
        self._open: dict[str, _Shared] = {}

    def of_route(self, specs: Mapping[str, TenantsSpec], started: Callbacks, stopped: Callbacks) -> Find:
        """Looks directories up by name; each is held from the route's start to its stop."""
        # Of a route that could not be built, nobody hears again.
        for key in [key for key, shared in self._open.items() if not shared.users]:
            del self._open[key]
        found: dict[str, TenantDirectory] = {}

        def find(name: str) -> TenantDirectory:
            if name not in found:
                if name not in specs:
                    raise PermanentError(f"no directory of tenants is called {name!r}", reason="NoDirectory")
                hold = _Hold(self._open, fingerprint({"name": name, **specs[name].model_dump(mode="json")}))
                if hold.key not in self._open:
                    self._open[hold.key] = _Shared(self._build(name, specs[name]))
                found[name] = self._open[hold.key].directory
                started.append(hold.take)
                stopped.append(hold.release)
            return found[name]

        return find

    def _build(self, name: str, spec: TenantsSpec) -> TenantDirectory:
        kind = self._catalogue.tenants.get(spec.type)
        if kind is None:
            raise PermanentError(f"no plugin has a directory of tenants {spec.type!r}", reason="NoDirectory")
        options = kind.options.model_validate({"type": spec.type, **spec.options})
        return kind.build(options, TenantContext(name, spec.base_dir, self._secret, self._log))


class _Hold:
    """One route's hold on a directory. A route that did not come to start is stopped all the same."""

    def __init__(self, shared: dict[str, _Shared], key: str) -> None:
        self.key = key
        self._all = shared
        self._mine: _Shared | None = None

    async def take(self) -> None:
        self._mine = self._all[self.key]
        self._mine.users += 1

    async def release(self) -> None:
        mine, self._mine = self._mine, None
        if mine is None:
            return
        mine.users -= 1
        if not mine.users:
            if self._all.get(self.key) is mine:
                del self._all[self.key]
            await mine.directory.close()
