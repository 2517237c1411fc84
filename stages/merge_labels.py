"""Merge the fine classes into coarse ones; write both labels of every sample, and what each kind of label costs."""

import numpy as np

from hidden_structure.datasets.labels import describe, merge, tables
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Merge


class Reads(Section):
    merge: Merge


@one_line_errors
@alone("merge-labels")
def main() -> None:
    study = params.load(reads=Reads)
    data = artifacts.read_arrays(paths.DATA, paths.IMAGES | paths.CLASSES)
    fine_names = tuple(data["class_names"].tolist())
    with artifacts.content_of([paths.DATA]):
        found_tables = tables(data)
    merged = merge(study.merge, fine_names, found_tables)
    fine = [data["train_labels"], data["test_labels"]]
    coarse = [merged.coarse_of[labels] for labels in fine]
    summary = {
        "fine": describe(fine_names, *fine),
        "coarse": describe(merged.coarse_names, *coarse),
        "coarse_of": {name: merged.coarse_names[k] for name, k in zip(fine_names, merged.coarse_of, strict=True)},
    }
    for supervision, names, (train, test) in (("fine", fine_names, fine), ("coarse", merged.coarse_names, coarse)):
        labels = {"train": train, "test": test, "names": np.array(names)}
        table = {"coarse_of": merged.coarse_of} if supervision == "coarse" else {}
        artifacts.write_arrays(paths.labels(supervision), labels | table)
    artifacts.write_json(paths.results("labels"), summary)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
