"""The hub: frames in from sources, frames out to consumers. One small process a host; `python -m vidops.hub`.

multipart, jpeg     parsing what sources send (sans-IO)
lifecycle           when a source is started and stopped (pure)
camera              one camera: its state, its consumers, its source
ingest, outlet      the sockets on both sides
session             the control socket: requests, subscriptions, watchers
server              all cameras of a host
"""
