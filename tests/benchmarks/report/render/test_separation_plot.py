import numpy as np

from benchmarks.report.data import separation
from benchmarks.report.render import separation_plot
from helpers.similarities import add


def test_similarities_are_on_one_axis_that_holds_them_all(results):
    add(results, "nce", sides={"class": (np.array([-0.61, 0.4]), np.array([0.1, 0.2]))})
    add(results, "exemplar", sides={"class": (np.array([0.99]), np.array([0.3]))})
    found = separation.measured(results.comparison())
    panels = [separation.Panel("", one.densities("class"), None) for one in found]
    assert separation_plot._range(panels) == (-0.75, 1.0)
