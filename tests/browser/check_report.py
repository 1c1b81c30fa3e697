#!/usr/bin/env python3
"""Opens report.html in headless chromium and checks what the browser made of it.

  check_report.py --make PROGRAM      the reports that PROGRAM prints (of a full and of an empty run)
  check_report.py FILE [--png OUT]    the report of a run; --png keeps a picture of it

Exit code 77: skipped, there is no chromium here.
"""
import argparse
import html.parser
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SECTIONS = ["expectations", "topology", "traffic", "migrations", "drops", "latency", "links",
            "datapath"]


class Page(html.parser.HTMLParser):
    """What the document consists of, as the browser wrote it back."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.tags, self.outside, self.root = [], {}, [], {}
        self.sections = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag == "html":
            self.root = attrs
        if tag == "section":
            self.ids.append(attrs.get("id"))
        if self.ids:
            self.sections.setdefault(self.ids[-1], []).append(tag)
        for name in ("src", "href", "data", "action", "xlink:href"):
            if attrs.get(name):
                self.outside.append(f"{tag} {name}={attrs[name]}")
        for name in attrs:
            if name.startswith("on"):
                self.outside.append(f"{tag} {name}")


def browser():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    return None


def chromium(program, folder, *arguments):
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
               "--no-first-run", "--disable-background-networking", "--disable-component-update",
               "--disable-sync", f"--user-data-dir={folder}/profile", "--window-size=1120,4200",
               *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def check(text, dom, full):
    """Yields what is wrong."""
    if re.search(r"https?://|@import|url\(", text):
        yield "the file names something outside of itself"
    page = Page(dom)
    if page.root.get("data-ready") != "1":
        yield "the page's script did not run to its end"
    for what in page.outside:
        yield f"the document refers to: {what}"
    if page.tags.get("script", 0) != 1:
        yield f"{page.tags.get('script', 0)} scripts instead of one: a name was not escaped"
    if "img" in page.tags:
        yield "a name became an element"
    wanted = SECTIONS if full else ["expectations", "topology", "drops"]
    for name in wanted:
        if name not in page.ids:
            yield f"no section '{name}'"
    if full:
        for name, tag, least in (("topology", "path", 20), ("topology", "rect", 20),
                                 ("traffic", "svg", 2), ("migrations", "svg", 1),
                                 ("drops", "svg", 1), ("drops", "tr", 2), ("latency", "svg", 1),
                                 ("expectations", "li", 3), ("links", "tr", 5)):
            if page.sections.get(name, []).count(tag) < least:
                yield f"section '{name}' has fewer than {least} <{tag}>"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?")
    parser.add_argument("--make")
    parser.add_argument("--png")
    arguments = parser.parse_args()
    program = browser()
    if program is None:
        print("skipped: no chromium on this machine")
        return 77
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        reports = []
        if arguments.make:
            for kind in ("full", "empty"):
                path = pathlib.Path(folder) / f"{kind}.html"
                path.write_bytes(subprocess.run([arguments.make, kind], capture_output=True,
                                                check=True).stdout)
                reports.append((path, kind == "full"))
        else:
            reports.append((pathlib.Path(arguments.file).resolve(), False))
        for path, full in reports:
            try:
                dom = chromium(program, folder, "--dump-dom", f"file://{path}")
            except subprocess.TimeoutExpired:
                print(f"{path.name}: the browser hung: did the page open a dialog?")
                wrong += 1
                continue
            for problem in check(path.read_text(), dom, full):
                print(f"{path.name}: {problem}")
                wrong += 1
        if arguments.png:
            chromium(program, folder, f"--screenshot={arguments.png}", f"file://{reports[0][0]}")
    print("failed" if wrong else f"{len(reports)} report(s) are fine in {program}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
