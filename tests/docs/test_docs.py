# SPDX-License-Identifier: MIT
"""The pages of docs/ and the README against the code: one test a check of check_docs.py."""
import pytest

import check_docs


@pytest.mark.parametrize("check", check_docs.CHECKS, ids=lambda f: f.__name__)
def test_docs(check):
    assert check() == []


def test_the_checks_can_fail(monkeypatch):
    """Each check complains about pages that say nothing, or about wrong ones."""
    real = check_docs.text

    def spoiled(path):
        body = real(path)
        if not path.endswith(".md"):
            return body
        return body.replace("`", "").replace("**S", "**T").replace("-E", "-X") + "\n`make nosuch` [x](nosuch.md)"

    monkeypatch.setattr(check_docs, "text", spoiled)
    assert [c.__name__ for c in check_docs.CHECKS if not c()] == []
