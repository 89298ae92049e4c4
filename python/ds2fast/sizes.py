"""Sizes in words."""


def as_size(num_bytes: int) -> str:
    """Bytes for people: "220 MiB", "1.9 GiB".

    Examples
    --------
    >>> as_size(230_400_000), as_size(2_040_109_466)
    ('220 MiB', '1.9 GiB')
    """
    if num_bytes < 2**30:
        return f"{num_bytes / 2**20:.0f} MiB"
    return f"{num_bytes / 2**30:.1f} GiB"
