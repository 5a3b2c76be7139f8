"""Networks that find boxes, and what they share. Next: `detector` for what a network must offer, `networks` by name."""
