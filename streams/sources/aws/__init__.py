"""What Amazon's services send: buckets, SNS, SQS, EventBridge."""
