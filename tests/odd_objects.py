"""Names of objects that encodings stumble over, as many as wanted."""

_PATTERNS = (
    "plain/{n}.csv",
    "with space/{n} .csv",
    "plus+plus/{n}+.csv",
    "100%/{n}%.csv",
    "literal%20percent/{n}%2B.csv",
    "double//slash/{n}//",
    "é/ü/{n}ß.csv",
    "e\u0301 decomposed/{n}.csv",
    "日本語/{n}/파일.txt",
    "emoji 🎉/{n}👩‍💻.json",
    "amp&equals=question?hash#{n}.txt",
    "quote\"back'{n}.txt",
    "brackets[{n}]{{x}}(y)<z>.txt",
    "semi;colon:comma,{n}@at$dollar!.txt",
    "עברית/{n}.txt",
    "tilde~caret^pipe|{n}`.txt",
)


def odd_keys(count: int, *, as_files: bool = False) -> list[str]:
    """Return different names; each hundredth is filled up to S3's longest, 1,024 bytes.

    `as_files` keeps to what a storage can hold that makes a file of each object: parts of 255 bytes.
    """
    keys = [_PATTERNS[n % len(_PATTERNS)].format(n=n) for n in range(count)]
    if as_files:
        keys = [key.rstrip("/").replace("//", "/") for key in keys]
    for n in range(0, count, 100):
        keys[n] = _longest(f"long/{n}/", part_bytes=200 if as_files else 1024)
    return keys


def _longest(begun: str, *, part_bytes: int) -> str:
    """Return a name of exactly 1,024 bytes that begins so."""
    name = begun
    while (left := 1024 - len(name.encode())) > 0:
        part = min(left - 1 if left > part_bytes else left, part_bytes)
        name += "é" * (part // 2) + "x" * (part % 2)
        if len(name.encode()) < 1024:
            name += "/"
    return name
