"""Which registers are best read together."""

from collections.abc import Iterable


def merge_spans(spans: Iterable[tuple[int, int]], most: int, gap: int) -> list[tuple[int, int]]:
    """Fewest reads that cover register spans in order of address, none of them cut.

    Parameters
    ----------
    spans
        First register and the one past the last, in any order, overlapping or not.
    most
        Most registers that one read may ask for.
    gap
        Most unwanted registers between two spans that are still read together.

    Returns
    -------
    list
        Spans of at most ``most`` registers, unless a single one is longer.
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first - merged[-1][1] <= gap and last - merged[-1][0] <= most:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
