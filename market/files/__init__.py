"""Case files in, result files out."""
