"""The formats of a rank table: versions 1.0 and 1.2 (SuperPod), and the older `group_list`.

Source of the fields and of their limits: Huawei's "Rank Table Configuration" pages of the HCCL user
guide (Atlas training products; Atlas A3 for version 1.2) and the TensorFlow 1.15 migration guide.
Everything is checked here, because HCCL itself answers a wrong table with an error code, or with a
hang.
"""

import collections
import ipaddress
import json
import re

from hccl import rank_table_checks as checks
from hccl.rank_table_checks import DEVICES_PER_SERVER
from mobilenet.errors import UsageError

Device = collections.namedtuple('Device', 'device_id device_ip rank_id super_device_id extra')
Device.__doc__ = """One NPU. device_id, rank_id: int; device_ip, super_device_id: str or None;
extra: dict of the other fields."""
Server = collections.namedtuple('Server', 'server_id host_ip devices extra')
Server.__doc__ = """One machine. server_id: str; host_ip: str or None; devices: tuple of Device in
order of rank; extra: dict of the other fields."""
RankTable = collections.namedtuple(
    'RankTable', 'version servers super_pods world_size template path'
)
RankTable.__doc__ = """version: '1.0' or '1.2'; servers: tuple of Server in order of rank;
super_pods: tuple of (super_pod_id, tuple of server_id); world_size: int; template: 'server_list' or
'group_list'; path: str, where it was read from."""

INITIALIZING = 'initializing'  # a cluster's scheduler is still writing the table


class NotReady(UsageError):
    """A table that will be complete later."""


class Fields:
    """One JSON object of the file and where it stands, so that every error can name the field."""

    def __init__(self, value, path, place=''):
        self.path, self.place = path, place
        if not isinstance(value, dict):
            self.fail('', 'is not a JSON object', 'write it as {...}')
        self.value = value

    def name(self, field):
        return '.'.join(part for part in (self.place, field) if part) or 'the file'

    def fail(self, field, what, change):
        raise UsageError(f'rank table {self.path}: {self.name(field)} {what}; {change}')

    def string(self, field, required=True):
        """The text of a field. All values are strings, numbers too: HCCL reads no others."""
        value = self.value.get(field)
        if value is None or value == '':
            if required:
                self.fail(field, 'is missing', 'add it')
            return None
        if not isinstance(value, str):
            self.fail(
                field,
                f'is {json.dumps(value)[:40]}, not a string',
                'put its value in quotes (numbers too: "0")',
            )
        return value

    def integer(self, field, required=True):
        text = self.string(field, required)
        if text is None:
            return None
        if not re.match(r'[0-9]{1,9}\Z', text):
            self.fail(field, f'is "{text}", not a whole number', 'write a number from 0 up, as "0"')
        return int(text)

    def address(self, field, required=True):
        text = self.string(field, required)
        if text is None:
            return None
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return self.fail(
                field, f'is "{text}", not an IP address', 'write it as A.B.C.D (or IPv6)'
            )

    def items(self, field):
        value = self.value.get(field)
        if value is None:
            self.fail(field, 'is missing', 'add it')
        if not isinstance(value, list) or not value:
            self.fail(field, 'is not a list with something in it', 'write it as [{...}, ...]')
        return [Fields(item, self.path, f'{self.name(field)}[{i}]') for i, item in enumerate(value)]

    def count(self, field, actual, of_what, required=False):
        stated = self.integer(field, required)
        if stated is not None and stated != actual:
            self.fail(
                field, f'is "{stated}", but there are {actual} {of_what}', f'write "{actual}"'
            )

    def others(self, *known):
        return {field: value for field, value in self.value.items() if field not in known}


def parse(data, path):
    """A RankTable from the decoded JSON of the file `path` (named in errors). Raises UsageError."""
    top = Fields(data, path)
    status = top.string('status')
    if status == INITIALIZING:
        raise NotReady(
            f'rank table {path}: status is "{status}": the table is not ready; give whoever makes '
            'it more time with --rank_table_timeout, or make one with scripts/make_rank_table.py'
        )
    if status != 'completed':
        top.fail(
            'status',
            f'is "{status}": the table is not ready',
            'wait until whoever makes it writes "completed", or make one with '
            'scripts/make_rank_table.py',
        )
    if 'server_list' in data:
        version = top.string('version')
        if version not in DEVICES_PER_SERVER:
            top.fail('version', f'is "{version}"', 'write "1.0" (or "1.2" for a SuperPod)')
        entries, template = _server_list(top, version), 'server_list'
    elif 'group_list' in data:
        version, template = '1.0', 'group_list'
        if data.get('version') not in (None, version):
            top.fail(
                'version',
                'is {}'.format(json.dumps(data['version'])),
                'a table with group_list is "1.0": write that',
            )
        entries = _group_list(top)
    else:
        top.fail('server_list', 'is missing', 'add it (or group_list, in the older template)')
    checks.check_ranks(entries)
    checks.check_servers(entries, version)
    pods = checks.super_pods(top, entries) if version == '1.2' else ()
    checks.check_addresses(entries, len(pods) if version == '1.2' else len(entries))
    servers = []
    for _, server_id, host_ip, pairs, extra in entries:
        devices = sorted((device for _, device in pairs), key=lambda device: device.rank_id)
        servers.append(Server(server_id, host_ip, tuple(devices), extra))
    servers.sort(key=lambda server: server.devices[0].rank_id)
    world_size = sum(len(server.devices) for server in servers)
    return RankTable(version, tuple(servers), pods, world_size, template, path)


def _server_list(top, version):
    """Versions 1.0 and 1.2, as [(fields, server_id, host_ip, [(fields, Device)], extra)]."""
    servers = top.items('server_list')
    top.count('server_count', len(servers), 'servers in server_list', required=version == '1.0')
    entries = []
    for server in servers:
        devices = [
            (fields, _device(fields, fields.integer('rank_id')))
            for fields in server.items('device')
        ]
        entries.append(
            (
                server,
                _server_id(server),
                server.address('host_ip', required=False),
                devices,
                server.others('server_id', 'host_ip', 'device'),
            )
        )
    return entries


def _group_list(top):
    """The older template, in the same form. Its instances are servers, or single devices of one;
    ranks go in order of the list where none are given."""
    groups = top.items('group_list')
    top.count('group_count', len(groups), 'groups in group_list', required=True)
    by_server = collections.OrderedDict()
    next_rank = 0
    for group in groups:
        instances = group.items('instance_list')
        devices_of_group = 0
        for instance in instances:
            server_id = _server_id(instance)
            entry = by_server.setdefault(server_id, (instance, server_id, None, [], {}))
            devices = instance.items('devices')
            devices_of_group += len(devices)
            for fields in devices:
                alone = len(devices) == 1 and 'rank_id' not in fields.value
                rank_id = (instance if alone else fields).integer('rank_id', required=False)
                rank_id = next_rank if rank_id is None else rank_id
                entry[3].append((fields, _device(fields, rank_id)))
                next_rank += 1
        group.count('instance_count', len(instances), 'instances in instance_list', required=True)
        group.count('device_count', devices_of_group, 'devices in instance_list')
        group.count('device_num', devices_of_group, 'devices in instance_list')
    return list(by_server.values())


def _device(fields, rank_id):
    known = ('device_id', 'device_ip', 'rank_id', 'super_device_id')
    return Device(
        fields.integer('device_id'),
        fields.address('device_ip', required=False),
        rank_id,
        fields.string('super_device_id', required=False),
        fields.others(*known),
    )


def _server_id(server):
    """An address or a name; what looks like an address has to be one."""
    text = server.string('server_id')
    if re.match(r'[0-9.]+\Z', text) or ':' in text:
        server.address('server_id')
    if len(text) > 64 or re.search(r'[\s,/]', text):
        server.fail(
            'server_id',
            f'is "{text}"',
            "write the server's address, or a name of at most 64 letters",
        )
    return text
