"""The only room that speaks to Kafka's client library."""
