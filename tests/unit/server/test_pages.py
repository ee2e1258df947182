from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from ragent_jupyter.server import pages


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manual of two pages and a picture."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Start here\n\nSee [alerts](alerts.md#quiet-runs). <script>alert(1)</script>\n")
    (docs / "alerts.md").write_text("# Alerts\n\n## Quiet runs\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![x](x.png)\n")
    (docs / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.md").write_text("# Secret")
    monkeypatch.setattr(pages, "DOCS", docs)
    return docs


async def test_the_page_knows_its_base_and_sets_the_xsrf_cookie(jp_fetch: Any, jp_base_url: str):
    for path in (("ragent",), ("ragent", "")):
        reply = await jp_fetch(*path)
        text = reply.body.decode()
        assert f'data-base-url="{jp_base_url}"' in text
        assert 'id="app"' in text and "<h1" in text
        assert "_xsrf=" in str(reply.headers.get_list("Set-Cookie"))
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "object-src 'none'" in policy
        assert "frame-ancestors" in policy


async def test_a_page_without_its_script_says_so(jp_fetch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    text = (await jp_fetch("ragent")).body.decode()
    assert "was not built" in text and "<script" not in text
    (tmp_path / "page.js").write_text("1")
    text = (await jp_fetch("ragent")).body.decode()
    assert "was not built" not in text and "ragent/static/page.js?v=" in text


async def test_the_manual_is_rendered_and_its_links_lead_to_its_pages(jp_fetch: Any, jp_base_url: str, installed: Path):
    index = (await jp_fetch("ragent", "docs")).body.decode()
    assert "<h1>Start here</h1>" in index
    assert f'href="{jp_base_url}ragent/docs/alerts#quiet-runs"' in index
    assert "<script>alert" not in index
    alerts = (await jp_fetch("ragent", "docs", "alerts")).body.decode()
    assert '<h2 id="quiet-runs">' in alerts and "<table>" in alerts
    assert 'aria-current="page">Alerts' in alerts
    assert f'src="{jp_base_url}ragent/docs/x.png"' in alerts
    assert (await jp_fetch("ragent", "docs", "x.png")).headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("name", ["nothing", "../secret", "..%2Fsecret", "../../../etc/passwd"])
async def test_nothing_beside_the_manual_is_served(jp_fetch: Any, installed: Path, name: str):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("ragent", "docs", name)
    assert refused.value.code == 404


async def test_an_installation_without_a_manual_still_answers(jp_fetch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(pages, "DOCS", tmp_path / "none")
    assert b"no manual" in (await jp_fetch("ragent", "docs")).body
