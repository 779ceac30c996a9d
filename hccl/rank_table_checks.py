"""What must hold in a rank table beyond the form of its fields: ranks, devices, addresses,
SuperPods.

`entries` are servers, as [(fields, server_id, host_ip, [(fields, Device)], extra)].
"""

DEVICES_PER_SERVER = {
    # An Atlas A2 takes any number; for an Ascend 910 see `notes`.
    '1.0': (1, 2, 3, 4, 5, 6, 7, 8),
    # An A3 server has 8 modules of two devices each; a job takes one device, or whole modules.
    '1.2': (1, 2, 4, 6, 8, 10, 12, 14, 16),
}
_ASCEND_910 = (1, 2, 4, 8)  # devices of a job on one server; 2 and 4 of them in one half
_HALVES = (range(0, 4), range(4, 8))


def notes(table):
    """What a person should know of a table that is right for some products only; lines."""
    lines = []
    for server in table.servers if table.version == '1.0' else ():
        ids = sorted(device.device_id for device in server.devices)
        listed = ', '.join(map(str, ids))
        if len(ids) not in _ASCEND_910:
            what = f'{len(ids)} devices ({listed}): an Ascend 910 server takes 1, 2, 4 or 8 a job'
        elif len(ids) in (2, 4) and not any(set(ids) <= set(half) for half in _HALVES):
            what = (
                f'devices {listed}: on an Ascend 910 server 2 or 4 devices stay within 0-3 or 4-7'
            )
        else:
            continue
        lines.append(f'rank table: server {server.server_id} has {what} (an Atlas A2 takes them)')
    return lines


def already(value, place):
    return f'is "{value}", which {place} has already'


def check_ranks(entries):
    seen = {}
    devices = [pair for entry in entries for pair in entry[3]]
    last = len(devices) - 1
    for fields, device in devices:
        if device.rank_id in seen:
            fields.fail(
                'rank_id',
                already(device.rank_id, seen[device.rank_id]),
                f'number the ranks from 0 to {last}, each once',
            )
        seen[device.rank_id] = fields.place
    for fields, device in devices:
        if device.rank_id > last:
            missing = min(set(range(len(devices))) - set(seen))
            fields.fail(
                'rank_id',
                f'is "{device.rank_id}", but rank {missing} is missing',
                f'number the ranks from 0 to {last} without a gap',
            )
    for server, _, _, pairs, _ in entries:
        ranks = sorted(device.rank_id for _, device in pairs)
        if ranks[-1] - ranks[0] != len(ranks) - 1:
            server.fail(
                '',
                'has the ranks {}'.format(', '.join(map(str, ranks))),
                "renumber: a server's ranks go without those of another between them",
            )


def check_servers(entries, version):
    """Doubled servers, the number of devices of each, doubled or impossible device ids."""
    allowed = DEVICES_PER_SERVER[version]
    seen_servers = {}
    for server, server_id, host_ip, pairs, _ in entries:
        for field, value in (('server_id', server_id), ('host_ip', host_ip)):
            if value is not None and (field, value) in seen_servers:
                server.fail(
                    field,
                    already(value, seen_servers[field, value]),
                    'give each server its own, or put its devices into one entry',
                )
            seen_servers[field, value] = server.place
        if len(pairs) not in allowed:
            field = 'devices' if 'devices' in server.value else 'device'
            server.fail(
                field,
                f'has {len(pairs)} devices',
                'version {} allows {} a server'.format(version, ', '.join(map(str, allowed))),
            )
        seen = {}
        for fields, device in pairs:
            if device.device_id >= allowed[-1]:
                fields.fail(
                    'device_id',
                    f'is "{device.device_id}"',
                    f'write one of the devices of a server, 0 to {allowed[-1] - 1}',
                )
            if device.device_id in seen:
                fields.fail(
                    'device_id',
                    already(device.device_id, seen[device.device_id]),
                    'list each device of the server once',
                )
            seen[device.device_id] = fields.place


def check_addresses(entries, networks):
    """Device addresses: each once; needed where there is more than one server (1.2: SuperPod)."""
    seen = {}
    for _, _, _, pairs, _ in entries:
        for fields, device in pairs:
            if device.device_ip is None:
                if networks != 1:
                    fields.fail(
                        'device_ip',
                        'is missing',
                        f"add the device's address (address_{device.device_id} in /etc/hccn.conf)",
                    )
                continue
            if device.device_ip in seen:
                fields.fail(
                    'device_ip',
                    already(device.device_ip, seen[device.device_ip]),
                    'give each device its own address (see /etc/hccn.conf of its server)',
                )
            seen[device.device_ip] = fields.place


def super_pods(top, entries):
    """super_pod_list of version 1.2, checked against the servers; () where the table has none."""
    if 'super_pod_list' not in top.value:
        return ()
    servers = {server_id: pairs for _, server_id, _, pairs, _ in entries}
    pods, pod_of_server = [], {}
    for pod in top.items('super_pod_list'):
        pod_id = pod.string('super_pod_id')
        if pod_id in [other for other, _ in pods]:
            pod.fail('super_pod_id', f'is "{pod_id}" a second time', 'give each SuperPod its own')
        members, seen = [], {}
        for member in pod.items('server_list'):
            server_id = member.string('server_id')
            if server_id not in servers:
                member.fail(
                    'server_id', f'is "{server_id}", which is not in server_list', 'correct it'
                )
            if server_id in pod_of_server:
                member.fail(
                    'server_id',
                    f'is "{server_id}", which is in SuperPod "{pod_of_server[server_id]}" already',
                    'list each server once',
                )
            pod_of_server[server_id] = pod_id
            members.append(server_id)
            for fields, _ in servers[server_id]:
                super_device_id = fields.string('super_device_id')
                if super_device_id in seen:
                    fields.fail(
                        'super_device_id',
                        already(super_device_id, seen[super_device_id]),
                        'give each device of a SuperPod its own',
                    )
                seen[super_device_id] = fields.place
        pods.append((pod_id, tuple(members)))
    for server, server_id, _, _, _ in entries:
        if server_id not in pod_of_server:
            top.fail(
                'super_pod_list',
                f'has no server "{server_id}" ({server.place})',
                'add it to its SuperPod',
            )
    return tuple(pods)
