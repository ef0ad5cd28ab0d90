"""Nearest neighbours and k-means over FAISS."""
