"""All that is stored in one gateway's process: what a request to one route changes is stored by others, too."""

from __future__ import annotations

from weakref import WeakSet, WeakValueDictionary

from vidops.api import GatewayContext
from vidops_plugins.middleware.cache.disk import Key
from vidops_plugins.middleware.cache.store import Store

_KIN: WeakValueDictionary[tuple[str, ...], Kin] = WeakValueDictionary()


class Kin:
    """Stores, each as long as its route has it."""

    def __init__(self) -> None:
        self._stores: WeakSet[Store] = WeakSet()

    def join(self, store: Store) -> None:
        self._stores.add(store)

    def leave(self, store: Store) -> None:
        self._stores.discard(store)

    def drop(self, key: Key) -> None:
        for store in tuple(self._stores):
            store.drop(key)


def kin_of(context: GatewayContext) -> Kin:
    """That of a gateway's process, by where it has its files: tests have several gateways in one."""
    name = (context.layout.run_dir, context.layout.state_dir, context.process)
    return _KIN.setdefault(name, Kin())
