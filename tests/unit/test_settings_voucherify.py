import pytest

from consumer.errors import SettingsError
from consumer.types import VoucherifyAccess
from tests.unit.test_settings import SECRET, Load, load

__all__ = ["load"]

ACCESS = {"VOUCHERIFY_URL": "us1.api", "VOUCHERIFY_APP_ID": "id", "VOUCHERIFY_APP_TOKEN": SECRET}


@pytest.mark.parametrize("missing", ACCESS)
def test_access_to_voucherify_is_whole_or_not_at_all(load: Load, missing: str) -> None:
    """Address and credentials of Voucherify's API come together."""
    with pytest.raises(SettingsError, match=f"{missing}: is missing; the three"):
        load({name: value for name, value in ACCESS.items() if name != missing})


def test_access_to_voucherify(load: Load) -> None:
    """A project knows how to reach its own bin at Voucherify, and never shows the token."""
    (project,) = load(ACCESS).resolved_projects().values()
    assert project.voucherify == VoucherifyAccess("us1.api", "id", SECRET)
    assert SECRET not in repr(project)


def test_access_to_voucherify_in_one_project(load: Load) -> None:
    """In a projects table each project has its own, and the incomplete one is named."""
    with pytest.raises(SettingsError, match=r"projects\.b\.voucherify_app_id: is missing"):
        load(toml="[projects.a]\n[projects.b]\nvoucherify_url = 'api'")
