"""The fleet side: CA, EST, registry, grants, the page's server and gateway, broker rules."""
