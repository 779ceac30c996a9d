"""The process's side of the adapter: closing it, and the device's overflow mode."""

from npu_bridge.sim import profile, settings


def npu_close():
    """Finalizes the adapter: profiles and dumps are whole after it."""
    profile.finish()


def npu_resource_shutdown():
    npu_close()


def _is_inf_nan_enabled():
    return not settings.saturates()


def __getattr__(name):
    """What only newer adapters have."""
    if name == 'is_inf_nan_enabled' and not settings.is_old_adapter():
        return _is_inf_nan_enabled
    raise AttributeError(f'module {__name__} has no attribute {name}')
