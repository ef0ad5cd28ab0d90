"""What several methods share: memory bank, similarities, clusters, argument checks, conformance."""
