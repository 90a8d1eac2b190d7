#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang's view over the files of a build, from its compile_commands.json.

    clang_check.py warnings SOURCE_DIR BUILD_DIR   the compiler's warnings as errors, every source file
    clang_check.py tidy SOURCE_DIR BUILD_DIR       clang-tidy (.clang-tidy), the product's folders; its
                                                   static analyzer looks at short paths only
    clang_check.py tidy-deep SOURCE_DIR BUILD_DIR  the same with the analyzer's usual depth: four times
                                                   as long

A file that passed is not looked at again until it, a header that it includes, its command, the tool or
.clang-tidy changes: BUILD_DIR/lint-cache remembers the digests.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

PRODUCT = ("core", "crypto", "fd", "memnodes", "apps")
TESTED = PRODUCT + ("tests", "bench")
SKIPPED = 77
SHALLOW = ["-Xclang", "-analyzer-config", "-Xclang", "mode=shallow"]
# Next to this script; not part of the digest of a file, as it says nothing about our code.
MODEL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "analyzer_model.h")


def find_tool(mode):
    """The command and its version text; None if it is not installed."""
    if mode == "warnings":
        candidates = ("clang-14", "clang")
    else:  # the set of checks depends on the version
        candidates = ("clang-tidy-14", "clang-tidy")
    for candidate in candidates:
        path = shutil.which(candidate)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if mode == "warnings" or " 14." in version:
                return path, version
    return None


def compile_entries(source, build, folders):
    """(file, folder to run in, arguments without compiler and output), one per source file."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        commands = json.load(stream)
    entries = {}
    for command in commands:
        path = os.path.realpath(os.path.join(command["directory"], command["file"]))
        relative = os.path.relpath(path, source)
        if relative.split(os.sep)[0] not in folders or path in entries:
            continue
        words = shlex.split(command["command"])[1:]
        arguments = []
        skip = False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MT"):
                skip = True
            elif word in ("-c", "-MD", "-Werror") or word == command["file"]:
                pass
            elif word.startswith(("-fsanitize", "-fno-sanitize", "-flto", "-ffat-lto-objects")):
                pass  # runtime checks, and how programs are linked; clang and gcc differ in the names
            else:
                arguments.append(word)
        entries[path] = (relative, command["directory"], arguments)
    return entries


def digest_of(path, directory, arguments, extra):
    """Digest of everything that the verdict depends on; None if the file does not even preprocess."""
    made = subprocess.run(["gcc", "-MM", *[a for a in arguments if not a.startswith("-W")], path],
                          capture_output=True, text=True, cwd=directory)
    if made.returncode != 0:
        return None
    digest = hashlib.sha256("\0".join([extra, *arguments]).encode())
    rule = made.stdout.replace("\\\n", " ").split(":", 1)[1]
    for name in re.split(r"(?<!\\)\s+", rule.strip()):
        name = name.replace("\\ ", " ")
        with open(os.path.join(directory, name), "rb") as stream:
            digest.update(name.encode() + b"\0" + hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()


def check_file(mode, tool, path, directory, arguments):
    """Empty if clean, else what the tool said."""
    quiet = ["-Wno-unknown-warning-option", "-Wno-unused-command-line-argument"]
    if mode == "warnings":
        command = [tool, *arguments, *quiet, "-Werror", "-fsyntax-only", path]
    else:
        model = [] if path.endswith("/core/base/error.c") else ["-Wno-unused-value", "-include", MODEL]
        depth = SHALLOW if mode == "tidy" else []
        command = [tool, "--quiet", path, "--", *arguments, *quiet, *model, *depth]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    if ran.returncode == 0:
        return ""
    text = ran.stdout + (ran.stderr if mode == "warnings" or not ran.stdout else "")
    return text.strip() or f"{path}: status {ran.returncode} without a message"


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("warnings", "tidy", "tidy-deep"):
        sys.exit(__doc__)
    mode, source, build = sys.argv[1], os.path.realpath(sys.argv[2]), sys.argv[3]
    found = find_tool(mode)
    if found is None:
        print(f"skipped: {'clang' if mode == 'warnings' else 'clang-tidy 14'} is not installed "
              f"(package {'clang' if mode == 'warnings' else 'clang-tidy-14'})")
        return SKIPPED
    tool, version = found
    entries = compile_entries(source, build, TESTED if mode == "warnings" else PRODUCT)
    if not entries:
        print("found nothing to look at")
        return 1
    with open(os.path.join(source, ".clang-tidy"), encoding="utf-8") as stream:
        extra = mode + version + stream.read()
    cache = os.path.join(build, "lint-cache")
    os.makedirs(cache, exist_ok=True)

    def look_at(path):
        relative, directory, arguments = entries[path]
        digest = digest_of(path, directory, arguments, extra)
        mark = digest and os.path.join(cache, digest)
        if mark and os.path.exists(mark):
            return relative, "", True
        text = check_file(mode, tool, path, directory, arguments)
        if mark and not text:
            with open(mark, "w", encoding="utf-8"):
                pass
        return relative, text, False

    failed = remembered = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for relative, text, known in pool.map(look_at, sorted(entries)):
            remembered += known
            if text:
                failed += 1
                print(f"== {relative}\n{text}")
    if failed:
        print(f"{failed} of {len(entries)} files have findings")
        return 1
    print(f"ok: looked at {len(entries)} files ({remembered} unchanged since they passed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
