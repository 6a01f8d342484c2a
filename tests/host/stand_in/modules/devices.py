"""Stand-in of the host's devices."""


def get_optimal_device_name():
    return "cpu"
