#!/usr/bin/env python3
"""Turns dashboard.html into a C++ header: the page, and the Content-Security-Policy that allows its own script and style only.

usage: embed.py PAGE HEADER
"""
import base64
import hashlib
import pathlib
import re
import sys


def hashes(page, tag):
    """CSP sources for every inline element of this kind: the hash is of the text between the tags, to the byte."""
    texts = re.findall(rf'<{tag}>(.*?)</{tag}>', page, re.DOTALL)
    assert texts and page.count(f'<{tag}') == len(texts), f'a <{tag}> that is not inline'
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return ' '.join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)


def main(page_path, header_path):
    page = pathlib.Path(page_path).read_text(encoding='utf-8')
    policy = '; '.join([
        "default-src 'none'", f"script-src {hashes(page, 'script')}", f"style-src {hashes(page, 'style')}",
        "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
    assert not re.search(r'\son\w+\s*=|\sstyle\s*=', page), 'an inline handler or style, which the policy forbids'
    assert ')page"' not in page
    pathlib.Path(header_path).write_text(
        '// The dashboard as one page, and the policy that goes with it. Made by embed.py from dashboard.html.\n'
        '#pragma once\n\n#include <string_view>\n\nnamespace swarm::core {\n\n'
        f'inline constexpr std::string_view dashboard_page = R"page({page})page";\n\n'
        f'inline constexpr std::string_view dashboard_policy = "{policy}";\n\n'
        '}  // namespace swarm::core\n', encoding='utf-8')


main(*sys.argv[1:])
