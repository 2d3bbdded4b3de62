"""Putting the parts together: settings, and the control plane as one running whole."""
