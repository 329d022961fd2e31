"""Events out as they come: one tail of the log for all who listen, and their way back to where they were."""
