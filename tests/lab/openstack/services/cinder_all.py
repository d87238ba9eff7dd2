#!/usr/bin/python3
"""All of Cinder (API, scheduler, one volume service per backend) in one process: the message bus is fake://.

usage: cinder_all.py --config-file FILE
"""
# The order of these is cinder-api's own: nothing may be imported before the threads are green ones.
import eventlet

eventlet.monkey_patch()
import __original_module_threading as original_threading
import threading

original_threading.current_thread.__globals__["_active"] = threading._active

import sys

from oslo_config import cfg
from oslo_log import log
from oslo_service import service as oslo_service

from cinder import i18n

i18n.enable_lazy()

import os_brick
from cinder import coordination, objects, rpc, service, utils, version
from cinder.common import config

CONF = cfg.CONF


def wait_until(true):
    while not true():
        eventlet.sleep(0.05)


def main():
    CONF.register_opt(cfg.StrOpt("cluster"))
    objects.register_all()
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    config.set_middleware_defaults()
    log.setup(CONF, "cinder")
    utils.monkey_patch()
    os_brick.setup(CONF)
    coordination.COORDINATOR.start()
    rpc.init(CONF)
    launcher = oslo_service.ServiceLauncher(CONF)
    # The volumes first: the scheduler asks for capabilities once, when it starts.
    for backend in CONF.enabled_backends:
        CONF.register_opt(cfg.StrOpt("backend_host"), group=backend)
        volume = service.Service.create(host=f"{CONF.host}@{backend}", service_name=backend,
                                        binary="cinder-volume", coordination=True)
        launcher.launch_service(volume)
        wait_until(lambda: volume.backend_rpcserver is not None)
    scheduler = service.Service.create(binary="cinder-scheduler")
    launcher.launch_service(scheduler)
    wait_until(lambda: scheduler.manager.driver.is_first_receive())
    # Last: that its port answers means that all is ready.
    launcher.launch_service(service.WSGIService("osapi_volume"))
    launcher.wait()


main()
