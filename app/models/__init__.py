"""Model providers, one file each: `embed_*` turns text into vectors, `generate_*` writes answers."""
