"""What the rest of the package asks of the tenants."""

from decimal import Decimal

import pytest

from mlrepro.quantities import amount
from mlrepro.tenancy import Role
from tests.tenancy.files import EXAMPLE, read, small, team

MEMBERS = """
members:
- {user: ana, role: viewer}
- {group: science, role: editor}
"""


class TestRoles:
    tenants = read("admins: [{group: platform}]\n" + small(team("a", MEMBERS), team("b")))

    def test_the_highest_of_the_user_and_their_groups(self) -> None:
        assert self.tenants.roles("ana") == {"a": Role.VIEWER}
        assert self.tenants.roles("ana", ["science"]) == {"a": Role.EDITOR}

    def test_none_for_a_stranger_even_if_they_call_themselves_like_a_group(self) -> None:
        assert self.tenants.roles("science", ["ana", "b"]) == {}

    def test_admins_have_them_all(self) -> None:
        assert self.tenants.roles("root", ["platform"]) == {"a": Role.ADMIN, "b": Role.ADMIN}
        assert not self.tenants.is_admin("platform")


def test_whose_a_code_location_is() -> None:
    tenants = read(EXAMPLE.read_text())
    assert (tenants.owner("delay"), tenants.owner("nobodys")) == ("delay", None)


def test_what_follows_from_the_name() -> None:
    (tenant,) = read(small(team("a")))
    assert (tenant.namespace, tenant.scope, tenant.readable) == ("a", "a", ["a", "shared"])
    assert tenant.pods == 1 + 10 + 20  # a code server, runs and steps


@pytest.mark.parametrize(
    ("quantity", "expected"), [("500m", "0.5"), ("2", "2"), ("1.5Gi", "1610612736"), ("3k", "3000"), ("1E", "1e18")]
)
def test_quantities(quantity: str, expected: str) -> None:
    assert amount(quantity) == Decimal(expected)


@pytest.mark.parametrize("quantity", ["", "-1", "1 Gi", "Gi", "1gi", "1e3", "0x1", "\uff11", "1\n"])
def test_no_quantities(quantity: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        amount(quantity)
