"""Many gates at once: the chance that any of them fails by luck is held, not only the chance of each."""

from __future__ import annotations

from collections.abc import Mapping


def holm(p_values: Mapping[str, float], *, alpha: float = 0.05) -> frozenset[str]:
    """The names whose null hypothesis is rejected, so that the chance of any false one is at most alpha (Holm, 1979).

    No independence is assumed. ValueError where a value is no probability.
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"the p-value of {name} lies between 0 and 1, not at {p}")
    rejected: set[str] = set()
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        if p > alpha / (len(p_values) - place):
            break  # and so does every greater one, whatever its own line
        rejected.add(name)
    return frozenset(rejected)
