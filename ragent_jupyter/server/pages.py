"""Pages outside Lab: `ragent/`, the panel on a phone or in a plain tab, and `ragent/docs`, the manual."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError, StaticFileHandler, authenticated

from .._version import __version__
from .base import RESOURCE

PACKAGE = Path(__file__).resolve().parent.parent
STATIC = PACKAGE / "static"
DOCS = PACKAGE / "docs"
TEMPLATES = PACKAGE / "templates"

_PICTURES = {".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp"}


class _Page(JupyterHandler):
    auth_resource = RESOURCE

    @property
    def content_security_policy(self) -> str:
        """Nothing from elsewhere runs, loads or is talked to from these pages; styles are set by scripts."""
        return "; ".join(
            (
                super().content_security_policy,
                "default-src 'self'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                f"connect-src 'self' {self._own_socket()}",
                "object-src 'none'",
                "base-uri 'self'",
                "form-action 'self'",
            )
        )

    def _own_socket(self) -> str:
        # Older Safaris do not count ws://host as 'self'. The Host header stands in our own header: plain hosts only.
        host = self.request.host
        return f"ws://{host} wss://{host}" if re.fullmatch(r"[\w.\-:\[\]]+", host) else ""

    def page(self, name: str, **names: Any) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Referrer-Policy", "same-origin")
        template = self.settings["ragent_jupyter_jinja2_env"].get_template(name)
        self.finish(template.render(version=__version__, base_url=self.base_url, **names))


class PageHandler(_Page):
    """`ragent/`: the same components as in Lab, without Lab."""

    @authenticated
    @authorized
    async def get(self) -> None:
        _ = self.xsrf_token  # touching it sets the cookie that the page's scripts send back
        built = (STATIC / "page.js").is_file()
        self.page("ragent.html", built=built, stamp=_stamp("page.js"))


class StaticHandler(JupyterHandler, StaticFileHandler):
    """`ragent/static/…`: the page's own scripts and styles, behind the login like everything of ours."""

    auth_resource = RESOURCE

    @authenticated
    @authorized
    async def get(self, path: str, include_body: bool = True) -> None:  # type: ignore[override]
        await StaticFileHandler.get(self, path, include_body)

    @authenticated
    @authorized
    async def head(self, path: str) -> None:  # type: ignore[override]
        await StaticFileHandler.get(self, path, include_body=False)

    def set_extra_headers(self, path: str) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")

    def get_cache_time(self, path: str, modified: Any, mime_type: str) -> int:
        return 3600 if "v" in self.request.arguments else 0  # with a stamp in its address a file never changes


class DocsHandler(_Page):
    """`ragent/docs[/NAME]`: the Markdown files of this version, and their pictures."""

    @authenticated
    @authorized
    async def get(self, name: str = "") -> None:
        path = _inside(DOCS, name.strip("/") or "index.md")
        if path is not None and path.suffix in _PICTURES:
            self.set_header("Content-Type", "image/svg+xml" if path.suffix == ".svg" else f"image/{path.suffix[1:]}")
            self.finish(path.read_bytes())
            return
        if path is None or path.suffix != ".md":
            if name.strip("/"):
                raise HTTPError(404, "There is no such page in ragent's manual.")
            text = "# ragent\n\nThis installation carries no manual."
        else:
            text = path.read_text("utf-8")
        pages = [(p.stem, _title(p)) for p in sorted(DOCS.glob("*.md"))]
        pages.sort(key=lambda page: page[0] != "index")
        here = path.stem if path else "index"
        title = dict(pages).get(here, "ragent")
        self.page("docs.html", pages=pages, here=here, title=title, body=to_html(text, f"{self.base_url}ragent/docs/"))


def _inside(folder: Path, name: str) -> Path | None:
    """The file `name` of `folder`, with `.md` added where that is what is meant; None for anything else."""
    for candidate in (name, f"{name}.md"):
        path = (folder / candidate).resolve()
        if path.is_file() and folder.resolve() in path.parents:
            return path
    return None


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        first = next((line for line in lines if line.startswith("# ")), f"# {path.stem}")
    return first[2:].strip()


def to_html(text: str, home: str = "") -> str:
    """Our own Markdown as HTML; links between its files, and its pictures, get addresses below `home`.

    >>> to_html("[rules](alerts.md#quiet)", "/ragent/docs/").strip()
    '<p><a href="/ragent/docs/alerts#quiet">rules</a></p>'
    """
    # On first use: Lab's start does not pay for it. It comes with nbconvert, which Jupyter's server needs.
    try:
        import mistune
    except ImportError:
        return f"<pre>{html.escape(text)}</pre>"
    render = mistune.create_markdown(escape=True, plugins=["table", "strikethrough", "url"])
    body = str(render(text))
    body = re.sub(r'href="(?!https?:|/|#)([\w\-/]+)\.md(#[^"]*)?"', rf'href="{home}\1\2"', body)
    body = re.sub(r'src="(?!https?:|/|data:)([^"]+)"', rf'src="{home}\1"', body)
    return re.sub(r"<h([23])>(.*?)</h\1>", _heading, body)


def _heading(match: re.Match[str]) -> str:
    level, text = match.group(1), match.group(2)
    slug = re.sub(r"[^\w]+", "-", html.unescape(re.sub(r"<[^>]+>", "", text)).lower()).strip("-")
    return f'<h{level} id="{slug}">{text}</h{level}>'


def _stamp(name: str) -> str:
    """Changes with the file, so that a new version is never hidden by a cache."""
    try:
        return format((STATIC / name).stat().st_mtime_ns, "x")
    except OSError:
        return __version__
