"""The MQTT connection and what arrives on it."""
