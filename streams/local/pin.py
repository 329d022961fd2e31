"""Write kafka-jars.json anew for another Kafka: `python -m streams.local.pin 4.4.0`. For maintainers.

Resolves the broker's dependencies as its pom states them, adds the binding that makes its log readable (in
the version of its log4j), downloads all of it and notes size and sum of each. Review the difference.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from streams.errors import BadInput
from streams.local.jars import Jar

BROKER = "org.apache.kafka:kafka_2.13"
# Kafka's slf4j is of the 1.7 line; its log4j-core has no binding for it in the pom.
BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"
LOGGING_CORE = "org.apache.logging.log4j:log4j-core"


def resolve(coordinate: str, cache: Path) -> list[tuple[str, Path]]:
    """Return (group:artifact:version, downloaded file) of an artifact and all it needs at run time."""
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    context = MavenContext(repo_cache=cache)
    wanted = context.create_dependency(replace(Coordinate.parse(coordinate), scope="compile"))
    own, needed = context.resolver.resolve([wanted])
    artifacts = [
        wanted.artifact for wanted in (*own, *(n for n in needed if n.scope in ("compile", "runtime")))
    ]
    return [(f"{a.groupId}:{a.artifactId}:{a.version}", Path(a.resolve())) for a in artifacts]


def pin(version: str, cache: Path) -> list[Jar]:
    """Return the jars of a Kafka version with their sums, sorted."""
    files = dict(resolve(f"{BROKER}:{version}", cache))
    core = [name.rpartition(":")[2] for name in files if name.startswith(f"{LOGGING_CORE}:")]
    if not core:
        raise BadInput(
            f"Kafka {version} brings no {LOGGING_CORE}; find out how it logs and change {__name__}"
        )
    bindings = dict(resolve(f"{BINDING}:{core[0]}", cache))
    files[f"{BINDING}:{core[0]}"] = bindings[f"{BINDING}:{core[0]}"]
    return [
        Jar(
            coordinate=name,
            bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for name, path in sorted(files.items())
    ]


def as_document(version: str, jars: Sequence[Jar]) -> str:
    """Return the list's text, one jar a line, so that a review sees what changed."""
    lines = ",\n".join("  " + json.dumps(asdict(jar)) for jar in jars)
    return f'{{"kafka": {json.dumps(version)}, "jars": [\n{lines}\n]}}\n'


def main(arguments: Sequence[str]) -> None:
    """Replace the list of this package."""
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        jars = pin(arguments[0], Path(folder))
    Path(__file__).with_name("kafka-jars.json").write_text(as_document(arguments[0], jars), "utf-8")
    sys.stdout.write(f"{len(jars)} jars, {sum(jar.bytes for jar in jars) >> 20} MiB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
