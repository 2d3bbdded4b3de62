"""The hub: frames in from sources, frames out to consumers. One small process a host; `python -m vidops.hub`.

multipart, jpeg, timeline   what sources send, checked and stamped (pure)
lifecycle                   when a source is started and stopped (pure)
source, words               its rules carried out; what its log says of its end
camera                      one camera: its frames, its consumers, its state
ingest, outlet, subscriber  the connections on both sides
document, session           what it is told, and the control socket
server                      all cameras of a host
"""
