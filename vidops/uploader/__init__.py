"""Copies finished recordings elsewhere, one after the other, until each is confirmed to be there."""
