"""What shows how training goes."""
