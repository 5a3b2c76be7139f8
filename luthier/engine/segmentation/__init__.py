"""Networks that say of every pixel what it shows, and what they share. Next: `networks`."""
