import numpy as np
import pandas as pd

from benchmarks.training.history import TOTALS, appended


def test_times_and_images_add_up_over_the_epochs():
    first = appended(pd.DataFrame(), {"epoch": 1, "loss": 2.0, "lr": 0.1}, 1.5, 0.25, 96)
    assert first[[*TOTALS]].iloc[0].tolist() == [96, 1.5, 0.25]
    both = appended(first, {"epoch": 2, "loss": 1.0, "lr": 0.1, "knn": 50.0}, 2.0, 0.0, 96)
    assert both["epoch"].tolist() == [1, 2]
    assert both["images_seen"].tolist() == [96, 192]
    assert both["train_seconds"].tolist() == [1.5, 3.5]
    assert both["evaluate_seconds"].tolist() == [0.25, 0.25]
    assert both["images_seen"].dtype == np.int64
    assert len(first) == 1


def test_an_epoch_without_evaluation_has_no_knn():
    history = appended(pd.DataFrame(), {"epoch": 1, "loss": 2.0, "lr": 0.1}, 1.0, 0.0, 8)
    assert np.isnan(history["knn"].iloc[0])
    assert np.isnan(history["images_per_second"].iloc[0])


def test_metrics_of_a_later_epoch_are_missing_in_an_earlier_one():
    first = appended(pd.DataFrame(), {"epoch": 1, "loss": 2.0, "lr": 0.1}, 1.0, 0.0, 8)
    both = appended(first, {"epoch": 2, "loss": 1.0, "lr": 0.1, "mine": 3.0}, 1.0, 0.0, 8)
    assert np.isnan(both["mine"].iloc[0])
    assert both["mine"].iloc[1] == 3.0
