"""Built-in plugins: what a third party would ship, shipped with vidops."""
