"""Generated examples are counted, not timed: a busy machine makes no example wrong."""

from hypothesis import settings

settings.register_profile("counted", deadline=None)
settings.load_profile("counted")
