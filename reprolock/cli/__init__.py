"""The command line: the only place that prints or exits. It parses, calls the library, prints.

Command modules import click and the lazy package alone, so that `--help` and completion stay quick; what they
call is loaded when the command runs.
"""
