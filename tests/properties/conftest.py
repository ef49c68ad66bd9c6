"""Property tests run on loaded machines too: time is no property of ours."""

from hypothesis import HealthCheck, settings

settings.register_profile("binmirror", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("binmirror")
