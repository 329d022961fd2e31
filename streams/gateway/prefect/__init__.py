"""What a real `prefect` client speaks below /api: events in and out, as measured with the client itself."""
