"""`oidc`: browsers log in at an OpenID provider (authorization code with PKCE) and get a session cookie."""

from vidops_plugins.middleware.oidc.guard import build
from vidops_plugins.middleware.oidc.options import Oidc

__all__ = ["Oidc", "build"]
