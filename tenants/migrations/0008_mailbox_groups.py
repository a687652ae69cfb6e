"""Groups of a client's mailboxes, as its mail host's directory has them."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0007_domains_and_new_clients")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="MailboxGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.UUIDField()),
                ("external_id", models.CharField(max_length=200)),
                ("name", models.CharField(max_length=256)),
                ("address", models.CharField(blank=True, max_length=320)),
                ("members_at", models.DateTimeField(null=True)),
                ("gone_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="MailboxGroupMember",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="members",
                        to="tenants.mailboxgroup",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.mailbox",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddConstraint(
            model_name="mailboxgroup",
            constraint=models.UniqueConstraint(
                fields=("tenant", "source_id", "external_id"), name="mailbox_group_once"
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxgroupmember",
            index=models.Index(fields=["tenant", "mailbox"], name="mailbox_group_of_mailbox"),
        ),
        migrations.AddConstraint(
            model_name="mailboxgroupmember",
            constraint=models.UniqueConstraint(
                fields=("tenant", "group", "mailbox"), name="mailbox_group_member_once"
            ),
        ),
        AddTenantForeignKey("tenants_mailboxgroupmember", "group_id", "tenants_mailboxgroup"),
        AddTenantForeignKey("tenants_mailboxgroupmember", "mailbox_id", "tenants_mailbox"),
        AddTenantPolicy("tenants_mailboxgroup", portal=()),
        AddTenantPolicy("tenants_mailboxgroupmember", portal=()),
    ]
