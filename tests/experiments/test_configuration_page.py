"""The page about the configuration."""

from experiments.configuration_page import PAGE, page


def test_committed_page_is_the_one_that_is_made_from_the_configuration():
    assert PAGE.read_text() == page(), "python -m experiments.configuration_page writes it anew"
