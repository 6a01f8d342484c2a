"""Stand-in of the host's folders; `boot` fills them in."""

data_path = ""
models_path = ""
script_path = ""
