"""The front door: REST, WebSocket and the console."""
