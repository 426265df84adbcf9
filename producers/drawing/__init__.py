"""Draw people: the brush, and what it paints (faces, hair, masks, clothes)."""
