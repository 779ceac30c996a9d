"""Where the ranks of a Horovod run meet: prints `answer PORT`, then serves until its input ends.

As horovodrun does it for ranks on this machine; argument: how many there are.
"""

import sys

from horovod.runner.common.util import hosts
from horovod.runner.http.http_server import RendezvousServer

server = RendezvousServer()
port = server.start()
count = int(sys.argv[1])
server.init(hosts.get_host_assignments(hosts.parse_hosts(f'localhost:{count}'), count))
print(f'answer {port}', flush=True)
sys.stdin.read()
