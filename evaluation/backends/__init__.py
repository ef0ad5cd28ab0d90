"""Nearest neighbours and k-means: the searches that the metrics stand on."""
