"""Turn one stream into another."""
