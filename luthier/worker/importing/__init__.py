"""How data become inputs: `source` finds what there is, `prepare` checks it, `rows` writes it, `bring_in` does all."""
