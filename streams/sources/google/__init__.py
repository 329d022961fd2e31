"""What Google Cloud sends: buckets by Pub/Sub and by Eventarc."""
