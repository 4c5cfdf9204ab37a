"""The gateway: polls devices, checks what they say, and keeps their set-points within limits."""
