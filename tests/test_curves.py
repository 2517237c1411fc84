from statistics import stdev

from hidden_structure.training.curves import mean_and_spread


def test_each_epoch_has_the_mean_and_sample_deviation_over_its_rows():
    rows = [{"epoch": e, "seed": s, "loss": e + s} for s in (0, 1, 5) for e in (10, 2)]
    header, *lines = mean_and_spread(rows, ["loss"]).splitlines()
    assert header == "epoch,loss,loss_spread"
    assert [line.split(",")[:2] for line in lines] == [["2", "4"], ["10", "12"]]
    assert float(lines[0].split(",")[2]) == round(stdev([2, 3, 7]), 5)


def test_one_seed_has_no_spread():
    assert mean_and_spread([{"epoch": 1, "loss": 0.5}], ["loss"]) == "epoch,loss,loss_spread\n1,0.5,\n"
