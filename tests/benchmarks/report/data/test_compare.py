from benchmarks.report.data.compare import canonical, compare

FILE = {"file": "googlenet.h5", "sha256": "ab" * 32, "published": True}


def labels(comparison):
    return [group.label for group in comparison.groups]


def ablate(**fields):
    return {"recipe_changed": {f"augmentation.{name}": value for name, value in fields.items()}}


def rename(folder, name):
    for file in folder.glob("*.json"):
        file.write_text(file.read_text().replace('"name": "quick"', f'"name": "{name}"'))


def test_runs_are_compared_within_one_data_set_and_one_recipe_as_used(results):
    results.add("nce", [20.0], recipe="quick")
    results.add("invaspread", [30.0], recipe="quick")
    results.add("nce", [20.0], recipe="quick", recipe_changed={"epochs": 2})
    results.add("nce", [20.0], recipe="paper")
    results.add("nce", [20.0], recipe="digits", dataset="digits")
    found = [(c.dataset_name, c.label, labels(c)) for c in results.comparisons()]
    assert found == [
        ("cifar10", "paper", ["nce"]),
        ("cifar10", "quick", ["nce", "invaspread"]),
        ("cifar10", "quick, epochs = 2 of 12", ["nce"]),
        ("digits", "digits", ["nce"]),
    ]


def test_the_description_of_a_recipe_does_not_part_its_runs(results):
    results.add("nce", [20.0])
    folder = results.add("invaspread", [30.0])
    record = folder / "run.json"
    record.write_text(record.read_text().replace("Minutes on two", "About minutes on two"))
    assert [labels(c) for c in results.comparisons()] == [["nce", "invaspread"]]


def test_seeds_of_one_configuration_make_a_group(results):
    for seed in (1, 0):
        results.add("invaspread", [30.0], seed=seed, hyper_parameters={"temperature": 0.1})
    results.add("invaspread", [30.0], changed={"temperature": 0.05})
    usual, variant = results.comparisons()[0].groups
    assert usual.seeds == (0, 1)
    assert usual.label == "invaspread"
    assert variant.label == "invaspread (temperature = 0.05)"


def test_runs_of_two_precisions_are_not_averaged(results):
    results.add("nce", [20.0])
    results.add("nce", [21.0], seed=1, environment={"precision": "bf16"})
    assert labels(results.comparisons()[0]) == ["nce (precision = bf16)", "nce (precision = fp32)"]


def test_of_a_seed_that_was_run_twice_the_later_run_counts(results):
    results.add("nce", [20.0], finished="2026-01-02")
    results.add("nce", [25.0], finished="2026-01-03")
    results.add("nce", [10.0], finished="2026-01-01")
    (group,) = results.comparisons()[0].groups
    assert [run.record.value("knn") for run in group.runs] == [25.0]


def test_different_images_under_one_name_are_told_apart(results):
    for digest in ("aaaaaaaaaa", "bbbbbbbbbb"):
        results.add("nce", [20.0], dataset="folder", digest=digest)
    first, second = results.comparisons()
    assert first.label == "quick [images aaaaaaaa]"
    assert second.label == "quick [images bbbbbbbb]"
    assert first.slug != second.slug


def test_methods_come_in_the_order_of_the_paper_then_by_name(results):
    for method in ("zeta", "invaspread", "alpha", "random-cnn"):
        results.add(method, [20.0])
    assert labels(results.comparisons()[0]) == ["random-cnn", "invaspread", "alpha", "zeta"]


def test_a_failed_run_joins_the_group_of_its_configuration(results):
    results.add("nce", [20.0], hyper_parameters={"noise": 4096})
    results.fail("nce", "loss is nan", seed=1, hyper_parameters={"noise": 4096})
    results.fail(
        "nce", "loss is inf", seed=2, hyper_parameters={"noise": 64}, changed={"noise": 64}
    )
    (comparison,) = results.comparisons()
    joined, own = comparison.groups
    assert [f.message for f in joined.failures] == ["loss is nan"]
    assert own.runs == ()
    assert own.label == "nce (noise = 64)"
    assert comparison.seeds == 3


def test_a_failed_run_of_an_unknown_method_is_kept(results):
    results.fail("not-installed", "loss is nan", hyper_parameters={"depth": 3})
    (comparison,) = results.comparisons()
    assert labels(comparison) == ["not-installed"]
    assert comparison.dataset is not None


def test_ablations_stand_in_the_comparison_as_groups_of_their_own(results):
    results.add("invaspread", [20.0], **ablate(crop_scale=None))
    for seed in (1, 0):
        results.add("invaspread", [30.0], seed=seed)
        results.add("invaspread", [25.0], seed=seed, **ablate(flip=0.0))
    results.add("nce", [20.0], **ablate(hue=0.1))
    (comparison,) = results.comparisons()
    assert labels(comparison) == [
        "nce, augmentation.hue = 0.1 instead of 0.4",
        "invaspread",
        "invaspread, without crop",
        "invaspread, without flip",
    ]
    assert [group.seeds for group in comparison.groups] == [(0,), (0, 1), (0,), (0, 1)]
    assert [group.label for group in comparison.unablated] == ["invaspread"]
    assert comparison.groups[2].ablation == {"augmentation.crop_scale": None}
    assert (comparison.label, comparison.slug, comparison.recipe_changed) == ("quick", "quick", {})
    assert comparison.recipe["augmentation"]["crop_scale"] == [0.2, 1.0]


def test_other_changes_of_the_recipe_still_part_the_ablations(results):
    results.add("invaspread", [30.0])
    results.add("invaspread", [20.0], recipe_changed={"epochs": 2, "augmentation.flip": 0.0})
    results.add("invaspread", [25.0], recipe_changed={"epochs": 2})
    found = [(c.label, labels(c)) for c in results.comparisons()]
    assert found == [
        ("quick", ["invaspread"]),
        ("quick, epochs = 2 of 12", ["invaspread", "invaspread, without flip"]),
    ]


def test_ablations_alone_are_told_from_the_recipe_of_their_name(results):
    results.add("invaspread", [20.0], **ablate(crop_scale=None))
    results.fail("invaspread", "loss is nan", **ablate(flip=0.0))
    (comparison,) = results.comparisons()
    assert labels(comparison) == ["invaspread, without crop", "invaspread, without flip"]
    assert comparison.recipe["augmentation"]["flip"] == 0.5
    assert comparison.unablated == []
    assert len(comparison.failures) == 1


def test_of_a_users_recipe_the_runs_themselves_tell_what_is_usual(results):
    for ablation in (ablate(crop_scale=None), ablate(flip=0.0)):
        rename(results.add("invaspread", [20.0], **ablation), "mine")
    (comparison,) = results.comparisons()
    assert labels(comparison) == ["invaspread, without crop", "invaspread, without flip"]
    assert comparison.recipe["augmentation"]["crop_scale"] == [0.2, 1.0]
    rename(results.add("invaspread", [20.0], seed=1, **ablate(hue=0.1)), "alone")
    (alone,) = [c for c in results.comparisons() if c.recipe["name"] == "alone"]
    assert labels(alone) == ["invaspread, augmentation.hue = 0.1"]
    assert "hue" not in alone.recipe["augmentation"]


def test_a_recipe_file_that_was_edited_makes_two_comparisons(results):
    folders = [results.add("invaspread", [20.0]), results.add("nce", [20.0])]
    record = folders[1] / "run.json"
    record.write_text(record.read_text().replace('"flip": 0.5', '"flip": 0.1'))
    assert [labels(c) for c in results.comparisons()] == [["invaspread"], ["nce"]]


def test_a_change_without_effect_is_no_ablation(results):
    results.add("nce", [20.0], recipe="digits", dataset="digits", **ablate(flip=0.0))
    (comparison,) = results.comparisons()
    assert labels(comparison) == ["nce"]


def test_a_failed_ablation_does_not_join_the_unchanged_group(results):
    results.add("nce", [20.0])
    results.fail("nce", "loss is nan", seed=1, **ablate(flip=0.0))
    (comparison,) = results.comparisons()
    assert [(len(g.runs), len(g.failures)) for g in comparison.groups] == [(1, 0), (0, 1)]


def test_splits_of_a_data_set_stand_side_by_side(results):
    for split, digest in (("train", "aaaa"), ("train+unlabeled", "bbbb")):
        results.add("nce", [20.0], recipe="digits", dataset="digits", split=split, digest=digest)
    results.add("triplet", [20.0], recipe="digits", dataset="digits", digest="aaaa")
    (comparison,) = results.comparisons()
    assert labels(comparison) == ["nce (split = train)", "nce (split = train+unlabeled)", "triplet"]


def test_runs_from_other_weights_are_not_averaged(results):
    for seed, sha256 in enumerate(("ab" * 32, "cd" * 32)):
        results.add("nce", [20.0], dataset="cars196", recipe="unseen", seed=seed,
                    weights={**FILE, "sha256": sha256})  # fmt: skip
    assert labels(results.comparison()) == ["nce (weights = abababab)", "nce (weights = cdcdcdcd)"]


def test_equal_values_have_one_text_whatever_their_order_and_others_another():
    assert canonical({"a": 1, "b": [2]}, "x") == canonical({"b": [2], "a": 1}, "x")
    texts = {canonical(*parts) for parts in (("a", "b"), ("a,b",), (1,), ("1",), (True,), (None,))}
    assert len(texts) == 6


def test_of_no_runs_there_are_no_comparisons():
    assert compare([], []) == []


def test_the_order_in_which_runs_are_read_makes_no_difference(results):
    results.add("invaspread", [20.0], **ablate(crop_scale=None))
    results.add("nce", [20.0], recipe="digits", dataset="digits")
    for seed in (1, 0):
        results.add("invaspread", [30.0], seed=seed)
    runs, failures = results.read()
    forwards, backwards = compare(runs, failures), compare(runs[::-1], failures)
    assert [(c.label, labels(c)) for c in forwards] == [(c.label, labels(c)) for c in backwards]
    assert [[g.seeds for g in c.groups] for c in forwards] == [
        [g.seeds for g in c.groups] for c in backwards
    ]
