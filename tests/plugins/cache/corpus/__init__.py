"""RFC 9111 as cases: an origin and a client with real sockets, and a gateway with `cache` and `proxy` between them.

Nothing waits here: what is old says so by `Age` and `Date`, with hours between fresh and stale.
"""
