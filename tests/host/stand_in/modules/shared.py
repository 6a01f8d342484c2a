"""Stand-in of the host's options and arguments."""

import argparse


class OptionInfo:
    def __init__(self, default=None, label="", component=None, component_args=None, section=None):
        self.default, self.label, self.section = default, label, section
        self.component, self.component_args = component, component_args


class Options:
    def __init__(self):
        self.data_labels = {}

    def add_option(self, name, info):
        self.data_labels[name] = info

    def __getattr__(self, name):
        labels = self.__dict__.get("data_labels", {})
        if name in labels:
            return labels[name].default
        raise AttributeError(name)


opts = Options()
cmd_opts = argparse.Namespace()
