"""Annotated photographs: read, judged, split into versions, written out again."""
