"""Recorders that look at time or at pictures rather than at every frame: stills, timelapses, motion.

Each is a process of its own, as FFmpeg is for plain video; what they write lands in the capture's spool under the
same names, and the keeper files it.
"""
