"""One session a viewer: SDP check, addresses, DTLS with the device's certificate, sending."""
