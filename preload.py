"""Command line options that facepick adds to the WebUI."""


def preload(parser):
    parser.add_argument(
        "--facepick-models",
        type=str,
        default=None,
        help="more folders with model files for facepick, separated by ;",
    )
    parser.add_argument(
        "--facepick-inputs",
        type=str,
        default=None,
        help="folders whose videos facepick may open by their path, separated by ;",
    )
