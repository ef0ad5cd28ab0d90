"""The commands of `bench`: words in, library calls out."""
