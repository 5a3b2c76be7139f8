"""What a call means: one file per noun, one function per RPC, named as on the wire. Next: `context`, then `apps`."""

from types import ModuleType

from luthier.rpcs import apps, concepts, users

MODULES: tuple[ModuleType, ...] = (users, apps, concepts)
