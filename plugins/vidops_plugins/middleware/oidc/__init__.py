"""`oidc`: browsers log in at an OpenID provider (authorization code with PKCE) and get a session cookie."""

from vidops_plugins.middleware.oidc.guard import build
from vidops_plugins.middleware.oidc.options import Oidc


def alone(options: Oidc) -> str:
    """Why it needs to see all requests."""
    return "sessions that were ended are known to one process, and a refresh token is good for one use"


__all__ = ["Oidc", "alone", "build"]
