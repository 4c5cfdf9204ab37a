"""What one process of a run tells of itself: metrics, health, logs."""
