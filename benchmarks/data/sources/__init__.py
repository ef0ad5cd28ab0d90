"""Where images come from: download, archive, decoder, cache."""
