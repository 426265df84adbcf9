"""How good an exported model is, and how sure that is."""
