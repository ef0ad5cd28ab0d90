"""What a run is, which runs a command needs, and their records."""
