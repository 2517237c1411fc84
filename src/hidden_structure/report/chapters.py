"""The chapters of a report, in reading order; each has `chapter(study, tables)`."""

from hidden_structure.report.averages import chapter as averages
from hidden_structure.report.collapse import chapter as collapse
from hidden_structure.report.connectivity import chapter as connectivity
from hidden_structure.report.distillation import chapter as distillation
from hidden_structure.report.finetune import chapter as finetune
from hidden_structure.report.imbalance import chapter as imbalance
from hidden_structure.report.inspection import chapter as inspection
from hidden_structure.report.linearity import chapter as linearity
from hidden_structure.report.merges import chapter as merges
from hidden_structure.report.recovery import chapter as recovery
from hidden_structure.report.split import chapter as split
from hidden_structure.report.sweep import chapter as sweep
from hidden_structure.report.unconstrained import chapter as unconstrained

CHAPTERS = {
    "inspection": inspection,
    "collapse": collapse,
    "recovery": recovery,
    "merges": merges,
    "split": split,
    "sweep": sweep,
    "unconstrained": unconstrained,
    "imbalance": imbalance,
    "connectivity": connectivity,
    "averages": averages,
    "linearity": linearity,
    "finetune": finetune,
    "distillation": distillation,
}
