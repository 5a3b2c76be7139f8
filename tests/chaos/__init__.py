"""What the platform promises when processes are killed and connections break; `make chaos` runs it at full size."""
