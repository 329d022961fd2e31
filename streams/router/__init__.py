"""From the events log to candidates: it routes, it never fires."""
