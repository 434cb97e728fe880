"""GPIO: the on-air light and the privacy switch."""
