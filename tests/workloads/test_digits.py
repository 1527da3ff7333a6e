"""The digits network: accuracy, reproducibility, integer inference against plain Python, files."""

import re

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.gemm import from_beats, to_beats
from carrysave.models.systolic import SystolicConfig
from carrysave.models.tile import tile_golden
from carrysave.workloads.digits import (
    DigitsNetwork,
    WorkloadError,
    accuracy,
    digits_split,
    quantise,
    train,
    trained_network,
)


@pytest.fixture(scope="module")
def trained():
    return trained_network()


def naive_logits(network, image):
    """One image through the network in Python integers, from the text of the module's documentation."""
    values = [(2 * pixel * 127 + 16) // 32 for pixel in image.tolist()]
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        columns = weight.T.tolist()
        sums = [sum(x * w for x, w in zip(values, column, strict=True)) for column in columns]
        values = [total + b for total, b in zip(sums, bias.tolist(), strict=True)]
        if index < len(network.multipliers):
            half, one = 1 << network.shifts[index] - 1, 1 << network.shifts[index]
            values = [min(max((v * network.multipliers[index] + half) // one, 0), 127) for v in values]
    return values


def test_split():
    split = digits_split()
    assert split.train_images.shape == (1437, 64)
    assert split.test_images.shape == (360, 64)
    assert split.test_images.min() == 0
    assert split.test_images.max() == 16
    assert set(split.test_labels) == set(split.train_labels) == set(range(10))
    together = np.concatenate([split.train_images, split.test_images])
    assert together.sum() == 561718, "not the digits that scikit-learn has shipped all along"


def test_accuracy(trained):
    _network, _split, accuracies = trained
    assert accuracies["float"] > 0.95
    assert accuracies["int8"] > 0.95
    assert abs(accuracies["float"] - accuracies["int8"]) < 0.01


def test_training_is_reproducible(trained):
    # The module claims the same weights on every machine, so the test may know them.
    assert trained[0].digest == "40966b9e8da1187c2fcee024d7b41e76d105c1df9d66694c6bf88bdd6859d13a"


def test_seed_matters():
    split = digits_split()
    images, labels = split.train_images[:200], split.train_labels[:200]
    networks = [quantise(train(images, labels, epochs=2, seed=seed), images) for seed in (0, 0, 1)]
    assert networks[0].digest == networks[1].digest
    assert networks[0].digest != networks[2].digest


def test_integer_inference(trained):
    network, split, _accuracies = trained
    logits = network.logits(split.test_images[:25])
    assert logits.tolist() == [naive_logits(network, image) for image in split.test_images[:25]]


def test_layers_and_range(trained):
    network, split, _accuracies = trained
    layers = network.layers(split.test_images)
    assert [(layer.name, layer.a.shape, layer.b.shape) for layer in layers] == [
        ("64x32", (360, 64), (64, 32)),
        ("32x10", (360, 32), (32, 10)),
    ]
    assert sum(layer.macs for layer in layers) == 360 * network.macs_per_image == 360 * 2368
    assert layers[0].a.max() == 127, "the activations use their whole range"
    assert max(abs(int(weight.min())) for weight in network.weights) == 127


def test_logits_through_tiles_of_an_array(trained):
    network, split, accuracies = trained
    config = SystolicConfig(rows=8, cols=8, max_k=64)

    def gemm(a, b):
        return from_beats(config, tile_golden(config, to_beats(config, a, b)), len(a), b.shape[1])

    logits = network.logits(split.test_images, gemm)
    assert (logits == network.logits(split.test_images)).all()
    assert accuracy(logits, split.test_labels) == accuracies["int8"]


def test_wrong_product_shows(trained):
    network, split, _accuracies = trained
    logits = network.logits(split.test_images, lambda a, b: a.astype(int) @ b.astype(int) + 1)
    assert (logits != network.logits(split.test_images)).any()


def test_save_and_load(trained, tmp_path):
    network = trained[0]
    network.save(tmp_path / "one.npz")
    again = DigitsNetwork.load(tmp_path / "one.npz")
    assert again.digest == network.digest
    again.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def test_parameters_cannot_be_changed(trained):
    with pytest.raises(ValueError, match="read-only"):
        trained[0].weights[0][0, 0] = 1


def test_bad_files(trained, tmp_path):
    path = tmp_path / "network.npz"
    with pytest.raises(WorkloadError, match=r"^cannot read the digits network '.*': No such file or directory$"):
        DigitsNetwork.load(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(WorkloadError, match=r"^cannot read the digits network '.*': not an \.npz of arrays$"):
        DigitsNetwork.load(path)
    np.savez(path, weight_0=np.array([object()], dtype=object))
    with pytest.raises(WorkloadError, match=r"^cannot read the digits network '.*': not an \.npz of arrays$"):
        DigitsNetwork.load(path)
    np.savez(path, x=np.arange(3))
    with pytest.raises(WorkloadError, match=r"^'.*' is not a digits network: its arrays are x$"):
        DigitsNetwork.load(path)
    np.save(tmp_path / "single.npy", np.arange(3))
    with pytest.raises(WorkloadError, match=r"^cannot read the digits network '.*': not an \.npz of arrays$"):
        DigitsNetwork.load(tmp_path / "single.npy")


@pytest.mark.parametrize(
    "changes",
    [
        {"multipliers": ()},
        {"multipliers": (1 << 15,)},
        {"shifts": (0,)},
        {"weights": (np.zeros((64, 10), np.int8),)},
        {"weights": (np.zeros((63, 4), np.int8), np.zeros((4, 10), np.int8))},
        {"weights": (np.zeros((64, 4), np.int16), np.zeros((4, 10), np.int8))},
        {"biases": (np.zeros(5, np.int32), np.zeros(10, np.int32))},
    ],
)
def test_parts_that_do_not_fit(changes):
    good = {
        "weights": (np.zeros((64, 4), np.int8), np.zeros((4, 10), np.int8)),
        "biases": (np.zeros(4, np.int32), np.zeros(10, np.int32)),
        "multipliers": (1 << 14,),
        "shifts": (20,),
    }
    assert DigitsNetwork(**good).macs_per_image == 64 * 4 + 4 * 10
    message = r"^the layers of a digits network must lead from 64 int8 inputs to 10 logits$"
    with pytest.raises(WorkloadError, match=message):
        DigitsNetwork(**{**good, **changes})


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 63), int), "images must be integers of shape (count, 64), not int64 of (2, 63)"),
        (np.zeros((2, 64)), "images must be integers of shape (count, 64), not float64 of (2, 64)"),
        (np.full((2, 64), 17), "pixels must be in 0..16, not 17..17"),
    ],
)
def test_images_refused(trained, images, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        trained[0].logits(images)
