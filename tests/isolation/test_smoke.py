import pytest

from tenants.models import Provider, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope


@pytest.mark.django_db
def test_wall():
    with maintenance_scope():
        p = Provider.objects.create(slug="p", name="P")
        a = Tenant.objects.create(provider=p, slug="a", name="A")
        b = Tenant.objects.create(provider=p, slug="b", name="B")
    with tenant_scope(Role.ANALYST, [a.id]):
        assert list(Tenant.objects.values_list("slug", flat=True)) == ["a"]
