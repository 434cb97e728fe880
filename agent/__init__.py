"""The device daemon: captures, is called over MQTT, and streams to its viewers."""
