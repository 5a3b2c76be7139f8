"""Networks that know good pictures and mark what differs. Next: `patchcore`, `distillation`."""
