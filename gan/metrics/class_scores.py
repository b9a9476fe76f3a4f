"""Scores of a generator with labels: how often samples have the label asked for, and the Frechet distance by label.

scores = score_classes(case.labelled, fake, features, codes, extractor, folder)
scores["agreement"]["Smiling"], scores["fd_by_label"]["Smiling: yes"]["fd"]
"""

from dataclasses import dataclass

import numpy as np

from gan.labels import Labels
from gan.metrics import audit, distances
from gan.metrics.evaluation import ImageSubset, feature_std, load_features

FEWEST = 100  # images of a label, and samples asked for it, from which a distance is computed
MOST = 40  # labels, the most frequent ones, of which distances are computed


@dataclass(frozen=True)
class LabelledImages:
    """Real images with labels, and a classifier of these.

    Arguments:
        images: the images that samples are compared with.
        labels: of these images, a row each.
        classifier: as `gan.metrics.attribute_classifier.load_for_faces` returns it.
    """

    images: ImageSubset
    labels: Labels
    classifier: object


def score_classes(
    real: LabelledImages, fake: np.ndarray, embedded: np.ndarray, asked: np.ndarray, extractor, folder
) -> dict:
    """Scores samples against real images that have the labels that were asked for.

    Arguments:
        fake: samples, uint8 (n, h, w, 3).
        embedded: their features, float32 (n, d).
        asked: their labels, int32 (n, attributes).
        extractor: a `gan.metrics.feature_extractors.FeatureExtractor`.
        folder: where features of real images are stored.

    Returns:
        agreement: attribute -> share of samples with the label asked for; classifier_accuracy: attribute -> share of
        held-out images of which the classifier knows the label, NaN as None; fd_by_label: label -> fd, and the numbers
        of real images and of samples; and fd_by_label_extractor, the name of the extractor. Distances of few images are
        larger: those of different numbers do not compare.
    """
    predicted = real.classifier.predict(fake)
    agreement = {
        each.name: each.share.value
        for each in audit.measure_agreement(real.labels.attributes, asked, predicted)
        if each.asked == audit.ANY
    }
    features = load_features(extractor, real.images, folder)
    scale = feature_std(features) if extractor.scaled else 1.0
    features, sampled = features / scale, embedded / scale
    found = []
    for i, attribute in enumerate(real.labels.attributes):
        for code in attribute.codes:
            ours, theirs = real.labels.codes[:, i] == code, asked[:, i] == code
            if min(ours.sum(), theirs.sum()) >= FEWEST:
                distance = distances.frechet_distance(features[ours], sampled[theirs])
                counts = {"real": int(ours.sum()), "samples": int(theirs.sum())}
                found.append((f"{attribute.name}: {attribute.value_names[code]}", {"fd": distance, **counts}))
    found.sort(key=lambda entry: -entry[1]["real"])
    accuracy = {name: None if np.isnan(value) else value for name, value in real.classifier.accuracy.items()}
    return {
        "agreement": agreement,
        "classifier_accuracy": accuracy,
        "fd_by_label": dict(found[:MOST]),
        "fd_by_label_extractor": extractor.name,
    }
