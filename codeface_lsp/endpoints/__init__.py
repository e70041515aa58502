"""Talks HTTP to model servers: client, dialects, routing and failover, and the launcher of the local engine."""
