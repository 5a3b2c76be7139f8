"""What the platform and the engine tell each other: files in a run folder. Read `run` first, then `events`."""
