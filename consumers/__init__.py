"""End a stream: the live state that browsers see."""
