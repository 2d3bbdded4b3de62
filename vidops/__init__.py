"""vidops: a declarative supervisor for host and camera services.

Kept empty on purpose: `vidops --version` imports this and little else.
"""

__version__ = "0.1.0"
