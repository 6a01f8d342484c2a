"""A small stand-in of the WebUI: what its loader does to an extension, and nothing else.

``python boot.py --kind a1111 --data-dir D --extension E [--extension E2] --port N``

The behaviours are those seen in A1111 1.10.1 and Forge 2.0.1:

* preload.py, then scripts/*.py by path, as modules named after their file and kept out of
  ``sys.modules``; A1111 puts the extension's root on ``sys.path`` while its script loads and puts
  the old list back afterwards, Forge puts all roots there for good;
* ``on_ui_settings``, then ``on_ui_tabs``, called outside any Blocks; the tabs are rendered into
  one page, every component is asked for its label;
* ``on_app_started`` with the page and its server, once it answers;
* style.css and javascript/ go into the page by links to ``file=``.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
sys.path.insert(0, str(Path(__file__).resolve().parent))


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def load_module(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(extensions):
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=("a1111", "forge"), required=True)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--extension", action="append", default=[])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-gradio-queue", action="store_true")
    parser.add_argument("--reload", action="store_true", help="build the UI twice, as Reload UI")
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--api", action="store_true")
    parser.add_argument("--api-auth")
    parser.add_argument("--fake-app", help="JSON for tests/ui/fake_app.py instead of the real App")
    for extension in extensions:
        preload = Path(extension) / "preload.py"
        if preload.is_file():
            load_module(str(preload)).preload(parser)
    return parser.parse_args()


def load_scripts(kind, extensions):
    if kind == "forge":
        for extension in extensions:
            sys.path.insert(0, str(extension))
    before = list(sys.path)
    for extension in extensions:
        for script in sorted((extension / "scripts").glob("*.py")):
            started = time.perf_counter()
            try:
                sys.path = [str(extension), *sys.path]
                load_module(str(script))
            finally:
                if kind == "a1111":
                    sys.path = list(before)
                else:
                    sys.path.remove(str(extension))
                    sys.path.insert(0, str(extension))
            say(f"LOADED {script.name} {1000 * (time.perf_counter() - started):.0f} ms")


def build_page():
    import gradio as gr
    from modules import script_callbacks, shared

    for callback in script_callbacks.settings:
        callback()
    started = time.perf_counter()
    tabs = [tab for callback in script_callbacks.tabs for tab in callback()]
    say(f"BUILT {1000 * (time.perf_counter() - started):.0f} ms")

    def walk(block):
        for child in getattr(block, "children", ()):
            if not hasattr(child, "children"):
                child.label  # noqa: B018 - the host reads it and fails without
            walk(child)

    for blocks, _, _ in tabs:
        walk(blocks)
    page = gr.Blocks(title="Stable Diffusion", analytics_enabled=False)
    with page as demo, gr.Tabs(elem_id="tabs"):
        for blocks, title, name in tabs:
            with gr.TabItem(title, id=name, elem_id=f"tab_{name}"):
                blocks.render()
    say(f"OPTIONS {sorted(shared.opts.data_labels)}")
    return demo


def add_page_files(extensions):
    """Links to style.css and javascript/ in every page, as the host patches them in."""
    import gradio.routes

    original = gradio.routes.templates.TemplateResponse
    head = "<script>window.gradioApp = () => document;</script>"
    style = ""
    for extension in extensions:
        for script in sorted((extension / "javascript").glob("*.js")):
            head += f'<script src="file={script}?{script.stat().st_mtime}"></script>'
        css = extension / "style.css"
        if css.is_file():
            style += f'<link rel="stylesheet" property="stylesheet" href="file={css}">'

    def patched(*args, **kwargs):
        response = original(*args, **kwargs)
        response.body = response.body.replace(b"</head>", f"{head}</head>".encode())
        response.body = response.body.replace(b"</body>", f"{style}</body>".encode())
        response.init_headers()
        return response

    gradio.routes.templates.TemplateResponse = patched


def main():
    extensions = [
        Path(value).absolute()
        for flag, value in zip(sys.argv, sys.argv[1:])  # noqa: B905 - Python 3.10
        if flag == "--extension"
    ]
    chosen = arguments(extensions)
    from modules import paths, script_callbacks, shared

    data = Path(chosen.data_dir).absolute()
    paths.data_path = str(data)
    paths.models_path = str(data / "models")
    paths.script_path = str(data)
    shared.cmd_opts = chosen
    import gradio  # noqa: F401 - the host has it loaded long before its extensions

    if chosen.fake_app:
        use_fake_app(json.loads(chosen.fake_app))
    load_scripts(chosen.kind, extensions)
    demo = build_page()
    if chosen.reload:
        script_callbacks.clear()
        load_scripts(chosen.kind, extensions)
        demo = build_page()
    add_page_files(extensions)
    if not chosen.no_gradio_queue:
        demo.queue(64)
    say("SERVING")
    server = demo.launch(
        server_port=chosen.port,
        allowed_paths=[str(data), *map(str, extensions)],
        quiet=True,
        prevent_thread_lock=True,
    )[0]
    for callback in script_callbacks.started:
        callback(demo, server)
    demo.block_thread()


def use_fake_app(options):
    """Puts the tests' fake in the place of the core before the extension is loaded."""
    root = Path(options["root"])
    sys.path[:0] = [str(root / "lib"), str(root / "tests" / "ui")]
    from fake_app import FakeApp

    import facepick.app

    def make(host):
        return FakeApp(
            host.home(),
            {int(size): Path(path) for size, path in options["truth"].items()},
            seconds_per_job=options.get("seconds", 1.2),
        )

    facepick.app.App = make
    del sys.path[:2]


if __name__ == "__main__":
    main()
