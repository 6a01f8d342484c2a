"""Puts the page's two files into the wheel.

The WebUI reads style.css and javascript/ at the root of the extension, so that is where they
lie; an installed package finds copies of them among its own files.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPy(build_py):
    """Builds the packages, then adds the page's files; an editable install reads the originals."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        assets = Path(self.build_lib) / "facepick_ui" / "assets"
        assets.mkdir(parents=True, exist_ok=True)
        for source in (ROOT / "style.css", ROOT / "javascript" / "facepick.js"):
            self.copy_file(str(source), str(assets / source.name))


setup(cmdclass={"build_py": BuildPy})
