"""What the site has beside the pages in this folder: the changelog, and the notebooks as pages."""

from __future__ import annotations

import base64
import json
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

WIDE = {
    "coming-from.md": ["navigation", "toc"],
    "problems.md": ["navigation", "toc"],
    "gallery.md": ["navigation"],
    "architecture.md": ["navigation"],
    "changelog.md": ["navigation"],
}
"""Pages without one or both of the columns beside the text: a section of one page needs no list of its pages."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds `changelog.md` from the top of the repository, and a page for each notebook in the place of its file."""
    changelog = Path(config.docs_dir).parent / "CHANGELOG.md"
    files.append(File.generated(config, "changelog.md", content=changelog.read_text(encoding="utf-8")))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        place = PurePosixPath(notebook.src_uri)
        page, pictures = page_of(json.loads(notebook.content_string), place.stem)
        files.append(File.generated(config, str(place.with_suffix(".md")), content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, str(place.with_name(name)), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> None:
    """Takes the columns away from pages that are better wide."""
    page.meta["hide"] = WIDE.get(page.file.src_uri, [])


def page_of(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name.

    Args:
        notebook: the parsed file, format 4.
        name: what its pictures are called, before a number.
    """
    blocks, pictures = [], dict[str, bytes]()
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(text.replace(".ipynb)", ".md)"))  # other notebooks are pages here
            continue
        blocks.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode("".join(data["image/png"]))
                blocks.append(f"![The figure that this cell draws]({picture})")
            else:
                shown = "".join(output.get("text") or data.get("text/plain", ""))
                blocks.append(f"```text\n{shown.rstrip()}\n```")
    blocks.append(f"[This page as a notebook]({name}.ipynb)")
    return "\n\n".join(blocks) + "\n", pictures
