"""Tenants: one file that says who runs what, where, with how much of it, and who may touch it."""

from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.members import Member, Role, Who
from mlrepro.tenancy.model import Named, Tenants, Visibility
from mlrepro.tenancy.problem import Problem
from mlrepro.tenancy.reading import load_tenants, read_tenants
from mlrepro.tenancy.tenants_file import TenantsFile

__all__ = [
    "Identity",
    "Member",
    "Named",
    "Problem",
    "Role",
    "Tenants",
    "TenantsFile",
    "Visibility",
    "Who",
    "load_tenants",
    "read_tenants",
]
