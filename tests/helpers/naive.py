"""Metrics as loops over images in float64: what the fast ones are compared with."""

import math

import numpy as np


def cosine(first, second):
    """Return the cosine of two vectors; 0 if one has no direction."""
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / norms) if norms else 0.0


def knn_labels(bank, bank_labels, queries, k, temperature):
    """Return the label of each query by the votes of its k nearest rows, weighted by exp(s / t)."""
    predicted = []
    for query in np.asarray(queries, np.float64):
        similarities = [cosine(query, row) for row in np.asarray(bank, np.float64)]
        nearest = sorted(range(len(bank)), key=lambda i: -similarities[i])[:k]
        scores = {int(label): 0.0 for label in sorted(set(bank_labels))}
        for i in nearest:
            scores[int(bank_labels[i])] += math.exp(similarities[i] / temperature)
        predicted.append(max(scores, key=scores.__getitem__))
    return predicted


def class_similarities(embeddings, labels, n):
    """Return (q, n) cosines to the n nearest of the same class and of all others, NaN-filled."""
    rows = np.asarray(embeddings, np.float64)
    positive, negative = [], []
    for i, query in enumerate(rows):
        same = [cosine(query, x) for j, x in enumerate(rows) if labels[j] == labels[i] and j != i]
        rest = [cosine(query, x) for j, x in enumerate(rows) if labels[j] != labels[i]]
        for side, values in ((positive, same), (negative, rest)):
            side.append((sorted(values, reverse=True) + [math.nan] * n)[:n])
    return np.array(positive), np.array(negative)
