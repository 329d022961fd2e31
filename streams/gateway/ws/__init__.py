"""WebSockets: a protocol that holds pongs back, the socket as handlers see it, and who answers where."""
