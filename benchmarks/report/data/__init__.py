"""What sections share: comparisons, values over seeds, the paper's rows."""
