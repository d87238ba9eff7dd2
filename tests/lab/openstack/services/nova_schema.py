#!/usr/bin/python3
"""Nova's three databases with their mappings, in one process instead of four calls of nova-manage.

usage: nova_schema.py CELL0-URL --config-file FILE
"""
import nova.monkey_patch  # noqa: F401  first of all

import sys

from nova import config, objects
from nova.cmd import manage


def main():
    cell0 = sys.argv.pop(1)
    config.parse_args(sys.argv)
    objects.register_all()
    cells = manage.CellV2Commands()
    for step in (manage.ApiDbCommands().sync, lambda: cells.map_cell0(database_connection=cell0),
                 manage.DbCommands().sync, lambda: cells.create_cell(name="cell1", verbose=False)):
        status = step()
        if status:
            sys.exit(status)


main()
