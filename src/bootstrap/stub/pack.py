"""Packs stub.py into stub.min.txt: one Python expression of a few characters that a shell, JSON
and an environment variable carry unchanged. Run it after a change of stub.py; a test compares."""

import ast
import base64
import keyword
import os
import re
import tokenize
import zlib
from io import BytesIO

HERE = os.path.dirname(os.path.abspath(__file__))


def own_names(source):
    """Functions, arguments and variables that stub.py itself defines."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
            names.update(argument.arg for argument in node.args.args)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    # Names that are also keywords of calls to the library must stay.
    return names - {"headers", "method", "timeout", "context"}


def short_names(names):
    letters = [a + b for a in ["", "_"] for b in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    letters = [name for name in letters if not keyword.iskeyword(name)]
    return dict(zip(sorted(names), letters))


def minify(source):
    """Shorter names, no comments, one blank for each level of indentation."""
    names = short_names(own_names(source))
    lines, line, level, before = [], "", 0, None
    for token in tokenize.tokenize(BytesIO(source.encode()).readline):
        kind, text = token.type, token.string
        if kind == tokenize.INDENT:
            level += 1
        elif kind == tokenize.DEDENT:
            level -= 1
        elif kind == tokenize.NEWLINE:
            lines.append(line)
            line, before = "", None
        elif kind in (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING):
            if kind == tokenize.NAME and (before is None or before.string != "."):
                text = names.get(text, text)
            if before is None:
                line = " " * level
            elif re.match(r"\w", text) and re.match(r"\w", line[-1]):
                line += " "
            line += text
            before = token
    return "\n".join(lines)


def pack(source):
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflated.compress(minify(source).encode()) + deflated.flush()
    text = base64.b85encode(packed).decode()
    return "import zlib,base64;exec(zlib.decompress(base64.b85decode('%s'),-15))" % text


def main():
    with open(os.path.join(HERE, "stub.py")) as file:
        text = pack(file.read())
    with open(os.path.join(HERE, "stub.min.txt"), "w") as file:
        file.write(text)
    print(len(text), "bytes")


if __name__ == "__main__":
    main()
