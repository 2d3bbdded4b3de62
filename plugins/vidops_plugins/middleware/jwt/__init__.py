"""`jwt`: lets through whoever has a valid JSON Web Token (RFC 7519, with the advice of RFC 8725)."""

from vidops_plugins.middleware.jwt.guard import build
from vidops_plugins.middleware.jwt.options import Jwt

__all__ = ["Jwt", "build"]
