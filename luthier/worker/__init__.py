"""What takes minutes, outside the API: one file per kind of job. Read `loop` first, then `training_job`."""
