"""What image files may hold: what kind of file it is, values of any range, color profiles, and damaged metadata."""
