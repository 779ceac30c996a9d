#!/usr/bin/env python3
"""Makes the rank table of this server, or merges the tables of several servers into one.

make_rank_table.py -o server_a.json                    all devices of /etc/hccn.conf
make_rank_table.py --devices 0-3 -o four.json          some of them
make_rank_table.py --devices 0-7 --ip_base 192.168.100.101
                                                       no hccn.conf: counted up from device 0
make_rank_table.py merge server_a.json server_b.json -o cluster.json
"""

import argparse
import difflib
import ipaddress
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hccl import rank_table
from mobilenet import command, terminal, text
from mobilenet.errors import UsageError

HCCN_CONF = '/etc/hccn.conf'


class Parser(argparse.ArgumentParser):
    """Wrong flags end like all other wrong input: in one line."""

    def error(self, message):
        raise UsageError(f'{message}; see {os.path.basename(sys.argv[0])} --help')


def parse_devices(devices_flag):
    """'0-7', '0,1,2,3', '4' or '[0,8)' (as for hccl_tools.py) -> device ids. Raises UsageError."""
    half_open = re.match(r'\[\s*([0-9]{1,4})\s*,\s*([0-9]{1,4})\s*\)\Z', devices_flag)
    if half_open:
        devices = list(range(int(half_open.group(1)), int(half_open.group(2))))
    else:
        devices = []
        for part in devices_flag.split(','):
            match = re.match(r'\s*([0-9]{1,4})\s*(?:-\s*([0-9]{1,4})\s*)?\Z', part)
            if not match:
                raise UsageError(
                    f'--devices {devices_flag}: "{part}" is no device; write 0-7, 0,1,2,3 or '
                    '"[0,8)"'
                )
            first = int(match.group(1))
            devices.extend(range(first, int(match.group(2) or first) + 1))
    if not devices or len(devices) > 64:
        raise UsageError(
            f'--devices {devices_flag} names {len(devices)} devices; write 0-7, 0,1,2,3 or "[0,8)"'
        )
    return devices


def read_hccn_conf(path):
    """{device id: address} from the lines address_I=A.B.C.D. Other settings of hccn_tool
    (netmask_0=…) and comments are passed over; what is neither raises UsageError.
    """
    hint = '; give the file with --hccn_conf, or count addresses up from --ip_base'
    addresses = {}
    for number, line in text.read_lines(path, hint):
        where = f'{path}, line {number}'
        match = re.match(r'address_([0-9]{1,3})\s*=\s*(\S*)\Z', line)
        if match is None:
            check_other_setting(line, where)
            continue
        device_id = int(match.group(1))
        if device_id in addresses:
            raise UsageError(f'{where}: a second address_{device_id}; remove one')
        addresses[device_id] = parse_ip(match.group(2), where)
    if not addresses:
        raise UsageError(
            f'{path} has no line address_I=A.B.C.D; set the addresses (hccn_tool -i I -ip '
            '-s ...), or count them up from --ip_base'
        )
    return addresses


def check_other_setting(line, where):
    """Raises UsageError where a line is no setting, or seems to be meant for an address."""
    if line[0] in '#;':
        return
    key, equals, _ = line.partition('=')
    name = re.sub('[^a-z]', '', key.lower())
    meant = difflib.get_close_matches(name, ['address'], 1, 0.75)
    if equals and name and (not meant or name.startswith('ipv')):  # IPv6address_0=…
        return
    found = text.printable(line[:60])
    raise UsageError(f'{where}: "{found}" is not understood; write address_I=A.B.C.D, no more')


def parse_ip(word, where):
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise UsageError(f'{where}: "{word}" is not an IP address; write it as A.B.C.D')


def make_from_hccn_conf(path, devices):
    addresses = read_hccn_conf(path)
    for device_id in devices or ():
        if device_id not in addresses:
            raise UsageError(
                f'{path} has no address_{device_id}; it has devices '
                f'{", ".join(map(str, sorted(addresses)))}: name those with --devices'
            )
    return [(device_id, addresses[device_id]) for device_id in devices or sorted(addresses)]


def make_from_base(base, devices):
    first = ipaddress.ip_address(parse_ip(base, '--ip_base'))
    try:
        return [(device_id, str(first + device_id)) for device_id in devices or range(8)]
    except ipaddress.AddressValueError:
        raise UsageError(
            f'--ip_base {base} leaves no room for the addresses of the devices; take a lower one'
        )


def parse_arguments(argv):
    if argv[:1] == ['merge']:
        parser = Parser(
            prog='make_rank_table.py merge',
            description='Merges rank tables; ranks are numbered anew, in the order of the files.',
        )
        parser.add_argument(
            'tables', nargs='+', metavar='TABLE', help='rank tables of one server or several'
        )
    else:
        parser = Parser(
            prog='make_rank_table.py',
            description=__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument(
            '--devices',
            '--device_num',
            metavar='LIST',
            help='0-7, 0,1,2,3 or "[0,8)"; in order of rank. Default: all of '
            'hccn.conf, 0-7 with --ip_base',
        )
        source = parser.add_mutually_exclusive_group()
        source.add_argument(
            '--hccn_conf', default=HCCN_CONF, help='where the device addresses stand (%(default)s)'
        )
        source.add_argument(
            '--ip_base',
            metavar='A.B.C.D',
            help='address of device 0, for a '
            'server without hccn.conf; device I has the I-th after it',
        )
        parser.add_argument(
            '--server_id',
            '--server_ip',
            metavar='NAME',
            help="this server's address for the others (default: looked up)",
        )
    parser.add_argument(
        '-o', '--output', metavar='FILE', help='where to write it (default: standard output)'
    )
    return parser.parse_args(argv[1:] if argv[:1] == ['merge'] else argv)


def make_table(arguments):
    if 'tables' in arguments:
        return rank_table.merge([rank_table.load(path) for path in arguments.tables])
    devices = parse_devices(arguments.devices) if arguments.devices is not None else None
    if arguments.ip_base is not None:
        device_ips = make_from_base(arguments.ip_base, devices)
    else:
        device_ips = make_from_hccn_conf(arguments.hccn_conf, devices)
    return rank_table.make(arguments.server_id or rank_table.own_address(), device_ips)


def main(argv):
    arguments = parse_arguments(argv)
    table = make_table(arguments)
    for line in rank_table.notes(table):
        print(line, file=sys.stderr)
    if arguments.output is None:
        sys.stdout.write(rank_table.dumps(table))
        return
    rank_table.dump(table, arguments.output)
    servers = ', '.join(server.server_id for server in table.servers)
    print(f'{arguments.output}: {table.world_size} ranks on {servers}', file=sys.stderr)


if __name__ == '__main__':
    terminal.protect(outliving=False)  # a table that was not written whole is no success
    sys.exit(command.status_of('make_rank_table.py', lambda: main(sys.argv[1:])))
