"""Everything on this machine: the broker without Docker, ports, folder locks."""
