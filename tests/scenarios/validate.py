#!/usr/bin/env python3
"""Holds scenarios against scenarios/schema.json, with python3-jsonschema and python3-yaml.

Good ones (the library, tests/scenarios/good) must validate. Of the bad ones those whose fault is one
of form (an unknown key, a wrong unit, a wrong type) must not: listed in FORM below.
Exit code 77 if a module is missing: ctest shows the test as skipped.
"""
import glob
import os
import sys

try:
    import json

    import jsonschema
    import yaml
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FORM = """unknown-key unknown-key-deep wrong-unit no-unit missing-underlay missing-key number-with-exponent
billion-vms billion-hosts wrong-type-map wrong-type-list wrong-type-scalar bad-name name-with-dashes
event-two-things event-without-time expect-nothing expect-empty-bounds expect-about-nothing
expect-unknown-measure expect-wrong-unit traffic-of-nothing traffic-of-two-kinds policy-allow-and-deny
kind-unknown list-at-top text-at-top""".split()


class Loader(yaml.SafeLoader):
    """YAML 1.2 scalars, as the loader reads them: no dates, no sexagesimal 02:00, no yes and no."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers
            if tag.rsplit(":", 1)[1] in ("int", "float", "null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
import re

Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[0-9.]+e-?[0-9]+$"), list("0123456789."))


def main():
    with open(os.path.join(ROOT, "scenarios/schema.json")) as file:
        schema = json.load(file)
    kind = getattr(jsonschema, "Draft202012Validator", None)
    if kind is None:
        print("skipped: this jsonschema does not know draft 2020-12")
        return 77
    kind.check_schema(schema)
    validator = kind(schema)

    def errors(path):
        with open(path, encoding="utf-8") as file:
            return list(validator.iter_errors(yaml.load(file, Loader)))

    failed = 0
    good = sorted(glob.glob(os.path.join(ROOT, "scenarios/library/*.yaml")) +
                  glob.glob(os.path.join(ROOT, "tests/scenarios/good/*.yaml")))
    for path in good:
        for error in errors(path):
            place = ".".join(str(p) for p in error.absolute_path)
            print(f"{path}: {place}: {error.message[:300]}")
            failed += 1
    for name in FORM:
        if not errors(os.path.join(ROOT, "tests/scenarios/bad", name + ".yaml")):
            print(f"{name}: the schema takes it")
            failed += 1
    print(f"{len(good)} good, {len(FORM)} bad, {failed} failures")
    return 1 if failed or len(good) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
