"""What vidops makes: resources, their specs, their conditions, and the catalogue of plugin types."""
