"""A sample of a till's export in, a mapping to review out."""
