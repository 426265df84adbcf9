"""Make frames: cameras, clips, folders, the demo scene."""
