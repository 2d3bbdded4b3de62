"""Hypercorn's settings, each set on purpose."""

from __future__ import annotations

import logging

from hypercorn.config import Config

KEEP_ALIVE = 75.0
"""Seconds that an idle connection stays open (and a new one may stay silent): longer than proxies in front keep it,
such that they close first and never write into a connection that is closing."""
HEAD_TIMEOUT = 10.0
"""Seconds that the head of a request may take from its first byte on."""
LAST_WORDS = 60.0
"""Seconds that a client has to take what is left of its last answer."""
MAX_HEAD = 32 * 1024


def hypercorn_config() -> Config:
    """For connections alone: sockets and TLS are ours."""
    config = Config()
    config.accesslog = None
    # Its log has nothing that ours lacks, and would come as plain text between JSON lines.
    config.errorlog = logging.getLogger("vidops.gateway.hypercorn")
    config.loglevel = "CRITICAL"
    config.include_server_header = False
    # A proxied answer has a date of its own: `Reply` adds one where there is none.
    config.include_date_header = False
    config.keep_alive_timeout = KEEP_ALIVE
    config.keep_alive_max_requests = 1_000_000
    config.h11_max_incomplete_size = MAX_HEAD
    config.h2_max_concurrent_streams = 100
    config.h2_max_header_list_size = MAX_HEAD
    config.h2_max_inbound_frame_size = 2**14
    config.max_app_queue_size = 4
    config.websocket_max_message_size = 1024 * 1024
    config.websocket_ping_interval = 20.0
    return config
