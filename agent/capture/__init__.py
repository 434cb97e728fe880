"""Where access units come from: one module a camera kind, one small Protocol, a table of names."""
