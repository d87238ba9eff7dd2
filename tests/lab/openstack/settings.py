"""The configuration files of the services, for one lab in one directory."""

SERVICES = ("keystone", "cinder", "nova", "placement", "glance", "neutron")
# What the catalog calls them, and where under their port the API begins.
CATALOG = {
    "keystone": ("identity", "keystone", "/v3"),
    "cinder": ("volumev3", "cinderv3", "/v3/%(project_id)s"),
    "nova": ("compute", "nova", "/v2.1"),
    "placement": ("placement", "placement", ""),
    "glance": ("image", "glance", ""),
    "neutron": ("network", "neutron", ""),
}
ADMIN_PASSWORD = "admin-secret"


def service_password(name):
    return name + "-secret"


def account(ports, name):
    return f"""auth_url = http://127.0.0.1:{ports["keystone"]}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = {name}
password = {service_password(name)}
region_name = RegionOne
"""


def tokens(ports, name):
    return f"""[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{ports["keystone"]}
{account(ports, name)}[oslo_middleware]
enable_proxy_headers_parsing = true
[oslo_policy]
enforce_new_defaults = %(strict)s
"""


def common(run, name):
    return f"""log_file = {run}/log/{name}.log
use_stderr = false
transport_url = fake://
"""


def keystone(run, ports, options):
    return f"""[DEFAULT]
log_file = {run}/log/keystone.log
use_stderr = false
[database]
connection = sqlite:///{run}/keystone.db
[token]
provider = fernet
expiration = {options.token_seconds}
[fernet_tokens]
key_repository = {run}/keys
[credential]
key_repository = {run}/keys
[fernet_receipts]
key_repository = {run}/keys
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_middleware]
enable_proxy_headers_parsing = true
"""


def cinder(run, ports, options):
    # The quotas of projects are written into the database by "db sync". All heartbeats of one process go to
    # one row: nothing may be taken for down.
    return f"""[DEFAULT]
host = lab
my_ip = 127.0.0.1
{common(run, "cinder")}auth_strategy = keystone
state_path = {run}/state
api_paste_config = /usr/share/cinder-common/api-paste.ini
resource_query_filters_file = /etc/cinder/resource_filters.json
osapi_volume_listen = 127.0.0.1
osapi_volume_listen_port = {ports["cinder"]}
osapi_volume_workers = 1
osapi_max_limit = {options.page}
glance_api_servers = http://127.0.0.1:{ports["glance"]}
allowed_direct_url_schemes = rbd
enabled_backends = rbd, rbd2
default_volume_type = __DEFAULT__
periodic_fuzzy_delay = 0
service_down_time = 31536000
scheduler_driver_init_wait_time = 1
quota_volumes = -1
quota_snapshots = -1
quota_gigabytes = -1
[rbd]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = rbd
rbd_pool = volumes
rbd_user = cinder
rbd_ceph_conf = {run}/ceph/ceph.conf
rbd_cluster_name = ceph
rbd_exclusive_cinder_pool = true
report_dynamic_total_capacity = true
rados_connect_timeout = 5
[rbd2]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = rbd2
rbd_pool = volumes2
rbd_user = cinder
rbd_ceph_conf = {run}/ceph/ceph.conf
rbd_cluster_name = ceph
rbd_exclusive_cinder_pool = true
report_dynamic_total_capacity = true
rados_connect_timeout = 5
[database]
connection = sqlite:///{run}/cinder.db
[oslo_concurrency]
lock_path = {run}/lock
[oslo_messaging_notifications]
driver = noop
[coordination]
backend_url = file://{run}/coordination
{tokens(ports, "cinder")}""" % {"strict": options.strict}


def placement(run, ports, options):
    return f"""[DEFAULT]
log_file = {run}/log/placement.log
use_stderr = false
[placement_database]
connection = sqlite:///{run}/placement.db
{tokens(ports, "placement")}""" % {"strict": "false"}


def nova(run, ports, options):
    return f"""[DEFAULT]
host = lab
my_ip = 127.0.0.1
{common(run, "nova")}compute_driver = fake.FakeDriver
state_path = {run}/state
instances_path = {run}/instances
enabled_apis = osapi_compute
osapi_compute_listen = 127.0.0.1
osapi_compute_listen_port = {ports["nova"]}
osapi_compute_workers = 1
api_paste_config = /usr/share/nova-common/api-paste.ini
service_down_time = 31536000
heal_instance_info_cache_interval = -1
periodic_fuzzy_delay = 0
[api]
max_limit = {options.page}
[api_database]
connection = sqlite:///{run}/nova_api.db
[database]
connection = sqlite:///{run}/nova.db
[placement]
{account(ports, "placement")}[service_user]
send_service_user_token = true
{account(ports, "nova")}[cinder]
catalog_info = volumev3:cinderv3:publicURL
os_region_name = RegionOne
{account(ports, "cinder")}[neutron]
{account(ports, "neutron")}[glance]
{account(ports, "glance")}[vnc]
enabled = false
[oslo_concurrency]
lock_path = {run}/lock
[oslo_messaging_notifications]
driver = noop
{tokens(ports, "nova")}""" % {"strict": options.strict}


def glance(run, ports, options):
    return f"""[DEFAULT]
{common(run, "glance")}bind_host = 127.0.0.1
bind_port = {ports["glance"]}
workers = 0
enabled_backends = rbd:rbd
show_image_direct_url = true
[database]
connection = sqlite:///{run}/glance.db
[glance_store]
default_backend = rbd
[rbd]
rbd_store_pool = images
rbd_store_user = glance
rbd_store_ceph_conf = {run}/ceph/ceph.conf
[os_glance_staging_store]
filesystem_store_datadir = {run}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {run}/tasks
[paste_deploy]
flavor = keystone
config_file = /usr/share/glance-common/glance-api-paste.ini
[oslo_concurrency]
lock_path = {run}/lock
{tokens(ports, "glance")}""" % {"strict": "false"}


def write(run, ports, options):
    for folder in ("log", "state", "lock", "coordination", "staging", "tasks", "instances"):
        (run / folder).mkdir(exist_ok=True)
    for make in (keystone, cinder, placement, nova, glance):
        (run / (make.__name__ + ".conf")).write_text(make(run, ports, options))
