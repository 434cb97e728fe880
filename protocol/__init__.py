"""Pure: what device, fleet and viewer say to each other (docs/reference/protocol.md)."""
