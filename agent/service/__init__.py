"""systemd: readiness, the watchdog and the journal."""
