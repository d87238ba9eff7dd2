#!/usr/bin/python3
"""Nova's conductor, scheduler, compute and API in one process: the message bus is fake://, and so is the hypervisor.

usage: nova_all.py --config-file FILE
"""
import nova.monkey_patch  # noqa: F401  first of all

import sys

import eventlet
import nova.conf
import os_vif
from nova import config, context, objects, service
from nova.compute import rpcapi as compute_rpc
from nova.conductor import rpcapi as conductor_rpc
from nova.objects import host_mapping
from nova.scheduler import rpcapi as scheduler_rpc
from oslo_log import log
from oslo_service import service as oslo_service

CONF = nova.conf.CONF


def main():
    config.parse_args(sys.argv)
    log.setup(CONF, "nova")
    objects.register_all()
    os_vif.initialize()
    objects.Service.enable_min_version_cache()
    launcher = oslo_service.ServiceLauncher(CONF)

    def launch(binary, topic):
        one = service.Service.create(binary=binary, topic=topic)
        launcher.launch_service(one)
        while one.rpcserver is None:
            eventlet.sleep(0.05)

    launch("nova-conductor", conductor_rpc.RPC_TOPIC)
    launch("nova-compute", compute_rpc.RPC_TOPIC)
    host_mapping.discover_hosts(context.get_admin_context())
    launch("nova-scheduler", scheduler_rpc.RPC_TOPIC)
    # Last: that its port answers means that all is ready.
    launcher.launch_service(service.WSGIService("osapi_compute"))
    launcher.wait()


main()
