"""What Azure Event Grid sends, in both of its schemas."""
