"""One file per revision; each says whether it expands or contracts the schema."""
