"""Embeds the images of a run and measures the embeddings."""
