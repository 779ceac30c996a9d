"""Rank tables, the launcher and the collectives; shares its name with the vendor's package `hccl`.

CANN installs a package of the same name (`hccl.manage.api`, `hccl.split.api`), and `npu_bridge`
imports it. A command run from this checkout finds this folder first, so the search path of
`hccl.*` is extended over every other folder `hccl/` on `sys.path`. For the same reason nothing in
this folder may be called `manage` or `split`.
"""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
