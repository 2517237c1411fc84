"""The methods of distillation that are compared: what each is called, and whose it is."""

from dataclasses import dataclass

LOO = "Loo, Iliopoulos, Hu, Vee 2024"


@dataclass(frozen=True)
class Method:
    label: str
    source: str


METHODS = {
    "alone": Method("student alone", ""),
    "kd": Method("KD", "Hinton, Vinyals, Dean 2015"),
    "fitnet": Method("FitNet", "Romero et al. 2015"),
    "subclass": Method("Subclass Distillation", "Müller, Kornblith, Hinton 2020"),
    "random": Method("random pieces", LOO),
    "random-projections": Method("random projections", LOO),
    "kmeans": Method("k-means", LOO),
    "tsne-kmeans": Method("t-SNE + k-means", LOO),
    "lelp": Method("LELP", LOO),
    "oracle": Method("oracle", LOO),
}
