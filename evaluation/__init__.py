"""How an embedding is judged: arrays in, numbers out; knows no network, trainer or file."""
