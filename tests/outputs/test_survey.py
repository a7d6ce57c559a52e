"""The file of a survey, against areas that are put together by hand."""

import dataclasses
import json

import numpy as np

from spotrust_jax.calibration.areas import AreaCalibration, Shares
from spotrust_jax.calibration.surveys import survey_area
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.survey import survey_rows, write_survey

_CALIBRATION = AreaCalibration(reach=0.4, structure_reach=0.3, groups=40, structure_error=0.2)


def _row(outputs, area):
    return Row(f"in/{outputs}.jpg", outputs, area=area, area_open=None if area is None else 0.05)


def test_survey_and_each_folder_of_it(tmp_path):
    rows = [_row("tower/a", 0.1), _row("tower/b", 0.3), _row("deck/a", 0.6), _row("deck/broken", None)]
    write_survey(tmp_path, rows, _CALIBRATION)
    survey, deck, tower = json.loads((tmp_path / "survey.json").read_text())
    assert [one["structure"] for one in (survey, deck, tower)] == ["", "deck", "tower"]
    assert [one["photographs"] for one in (survey, deck, tower)] == [3, 1, 2]
    assert [one["structures"] for one in (survey, deck, tower)] == [2, 1, 1]
    np.testing.assert_allclose([one["area"] for one in (survey, deck, tower)], [1 / 3, 0.6, 0.2])
    found = survey_area(_CALIBRATION, Shares(np.array([0.1, 0.3, 0.6]), np.full(3, 0.05)), ["t", "t", "d"])
    assert (survey["area_low"], survey["area_high"], survey["area_level"]) == found[1:]


def test_photographs_of_one_folder_are_a_single_structure():
    (survey,) = survey_rows([_row("a", 0.1), _row("b", 0.3)], _CALIBRATION)
    assert (survey.structures, survey.photographs) == (1, 2)


def test_novel_photographs_are_counted():
    rows = [dataclasses.replace(_row(name, 0.1), novel=novel) for name, novel in (("a/a", True), ("b/b", False))]
    assert [one.novel for one in survey_rows(rows, _CALIBRATION)] == [1, 1, 0]


def test_no_survey_of_photographs_that_failed_and_no_interval_without_calibration():
    assert survey_rows([_row("a", None)], _CALIBRATION) == []
    (survey,) = survey_rows([_row("a", 0.1)], AreaCalibration())
    assert (survey.area, survey.area_low, survey.area_high) == (0.1, None, None)
