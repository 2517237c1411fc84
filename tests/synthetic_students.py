"""Made-up but plausible results of distillation, in the form that its two stages write them."""

from itertools import product

import numpy as np

from hidden_structure.distillation.methods import METHODS, TRIED, values
from hidden_structure.distillation.steps import pairs
from hidden_structure.frame.params import Study

LEVEL = {  # method -> test accuracy, agreement of the student's features, meaning of the pieces
    "alone": (0.70, 0.30, 0.25),
    "labels": (0.71, 0.30, 0.25),
    "kd": (0.73, 0.35, 0.25),
    "fitnet": (0.75, 0.40, 0.25),
    "subclass": (0.76, 0.42, 0.35),
    "random": (0.72, 0.30, 0.20),
    "random-projections": (0.77, 0.44, 0.40),
    "kmeans": (0.77, 0.46, 0.50),
    "kmeans-soft": (0.775, 0.46, 0.50),
    "tsne-kmeans": (0.78, 0.48, 0.55),
    "lelp": (0.80, 0.50, 0.45),
    "lelp-hard": (0.79, 0.49, 0.45),
    "oracle": (0.86, 0.70, 1.00),
    "oracle-soft": (0.87, 0.72, 0.90),
}


def studied(study: Study, **settings: object) -> Study:
    """The study with a section distill of all methods, three teachers and three seeds, unless told otherwise."""
    own = {"seeds": [0, 1, 2], "teachers": [0, 1, 2], "methods": list(LEVEL), "subclasses": [5, 2, 10]}
    own |= {"teacher": "own", "betas": [0.5, 1.0], "softnesses": [0.1, 0.3]}
    content = study.model_dump()
    return Study.model_validate(content | {"distill": content["distill"] | own | settings})


def distill(study: Study, classes: int = 2) -> dict:
    """Seeds are good or bad for all methods alike, so that paired differences scatter less than accuracies."""
    settings, tried, rows, lengths = study.distill, [], [], []
    for place, method in enumerate(settings.methods):
        level, draw = LEVEL[method][0], np.random.default_rng(place)
        best = {name: values(settings, name)[0] for name in METHODS[method].hyperparameters}
        chosen = {name: best.get(name) for name in TRIED}
        for name in best:
            for value in values(settings, name) if len(values(settings, name)) > 1 else ():
                accuracy = level + 0.03 * draw.random() - 0.002 * abs((chosen | {name: value})["subclasses"] or 0)
                each = {"accuracy": accuracy, "accuracies": [accuracy - 0.01, accuracy, accuracy + 0.01]}
                tried.append({"method": method} | chosen | {name: value} | each)
        outputs = classes * (chosen["subclasses"] or (5 if method.startswith("oracle") else 1))
        for epochs, (teacher, seed) in product([settings.train.epochs, *settings.epochs], pairs(settings)):
            test = level + 0.02 * np.random.default_rng([teacher, seed]).normal() + 0.003 * draw.normal()
            gap = (0.1 + 0.1 * (0.8 - level)) * epochs / settings.train.epochs
            accuracies = {"train_accuracy": min(1.0, test + gap), "test_accuracy": test}
            own = {"method": method, "teacher": teacher, "seed": seed, "epochs": epochs}
            row = own | chosen | accuracies | {"outputs": outputs}
            (rows if epochs == settings.train.epochs else lengths).append(row)
    accuracies = {"test_accuracy": 0.85, "train_accuracy": 0.99, "augmented_accuracy": 0.98}
    teachers = [{"seed": seed, "classes": classes} | accuracies for seed in settings.teachers]
    coarse_of = [index % classes for index in range(10)]
    return {"teachers": teachers, "coarse_of": coarse_of, "tried": tried, "rows": rows, "lengths": lengths}


def students(study: Study) -> dict:
    rows = []
    for place, method in enumerate(study.distill.methods):
        _, agreement, meaning = LEVEL[method]
        for teacher, seed in pairs(study.distill):
            kept = agreement + 0.01 * np.random.default_rng([teacher, seed, place]).normal()
            own = {"agreement": kept, "nmi": kept, "ari": kept - 0.1, "purity": kept}
            own |= {"information": kept - 0.2, "pieces": meaning, "probe_accuracy": kept + 0.2}
            rows.append({"method": method, "teacher": teacher, "seed": seed} | own)
    return {"rows": rows}
