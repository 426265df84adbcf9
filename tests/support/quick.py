"""Drift with counts so small that a change of light is an episode within a minute; as variables."""

from maskwatch.drift_messages import SIGNALS

QUICK = {
    "MASKWATCH_DRIFT__SAMPLE_S": "0.4",
    "MASKWATCH_DRIFT__REFERENCE": "40",
    "MASKWATCH_DRIFT__LEAST": "8",
    "MASKWATCH_DRIFT__MOST": "16",
    "MASKWATCH_DRIFT__EVERY": "2",
    # So short a reference knows little of places and people that come and go: what counts is the light.
    "MASKWATCH_DRIFT__EFFECT": "0.9",
    "MASKWATCH_DRIFT__LEAST_CHANGE__BRIGHTNESS": "0.2",
    "MASKWATCH_DRIFT__LEAST_CHANGE__CONTRAST": "0.08",
    **{
        f"MASKWATCH_DRIFT__LEAST_CHANGE__{signal.upper()}": "99"
        for signal in SIGNALS
        if signal not in {"brightness", "contrast"}
    },
    "MASKWATCH_DRIFT__BUDGET": "1000000",
    "MASKWATCH_DRIFT__SUMMARY_S": "2",
}
"""Small counts, so that everything happens within a minute of a machine that has nothing else to do."""
