"""Viewers: the browser's modules in web/ and the one for the shell."""
