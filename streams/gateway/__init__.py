"""The way in by HTTP: authenticate, parse strictly, write to Kafka, answer after the acknowledgement."""
