"""Microsoft's own SDK drives the sandbox: msal's token over TLS, kiota's requests."""

import datetime as dt
import ssl
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msal
import pytest
from typing_extensions import override

from tests.api_bridge.sandbox.receiver import receiving
from tests.api_bridge.sandbox.running import Company
from tests.api_bridge.sandbox.test_sealing import OURS, SELECTED

with warnings.catch_warnings():
    # kiota warns of itself while it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kiota_abstractions.authentication import (
        AccessTokenProvider,
        AllowedHostsValidator,
        BaseBearerTokenAuthenticationProvider,
    )
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.models.exchange_message_trace_status import ExchangeMessageTraceStatus
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.models.subscription import Subscription
    from msgraph.generated.users.item.messages.item.move.move_post_request_body import (
        MovePostRequestBody,
    )
    from msgraph.generated.users.item.messages.messages_request_builder import (
        MessagesRequestBuilder,
    )
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]  # it has no types
    from msgraph_core.requests.batch_request_builder import (  # type: ignore[import-untyped]  # as above
        BatchRequestBuilder,
    )
    from msgraph_core.requests.batch_request_content import (  # type: ignore[import-untyped]  # as above
        BatchRequestContent,
    )

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
Query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters


class TokenFromMsal(AccessTokenProvider):
    def __init__(self, company: Company) -> None:
        app = msal.ConfidentialClientApplication(
            company.client_id, client_credential=company.secret, instance_discovery=False,
            authority=f"{company.cloud.https}/{company.tenant_id}", verify=str(company.cloud.ca),
        )  # fmt: skip
        answer = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
        app.http_client.close()
        self._token = str(answer["access_token"])

    @override
    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] | None = None
    ) -> str:
        return self._token

    @override
    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


@pytest.fixture
async def adapter(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GraphRequestAdapter]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.create_default_context(cafile=company.cloud.ca)
    transport = httpx.AsyncHTTPTransport(verify=context)
    plain = httpx.AsyncClient(transport=transport, timeout=20)
    client = GraphClientFactory.create_with_default_middleware(client=plain)
    made = GraphRequestAdapter(
        BaseBearerTokenAuthenticationProvider(TokenFromMsal(company)), client
    )
    made.base_url = f"{company.cloud.https}/v1.0"
    yield made
    await client.aclose()
    await transport.aclose()  # kiota's own transport, which it puts before this one, does not


@pytest.fixture
def sdk(adapter: GraphRequestAdapter) -> GraphServiceClient:
    return GraphServiceClient(request_adapter=adapter)


async def test_the_sdk_lists_users_and_reads_the_organization(
    sdk: GraphServiceClient, company: Company
):
    users = await sdk.users.get()
    assert users is not None
    assert {user.mail for user in users.value or []} == {
        company.mail(name) for name in company.names
    }
    organizations = await sdk.organization.get()
    assert organizations is not None
    assert [found.id for found in organizations.value or []] == [company.tenant_id]


async def test_the_sdk_lists_pages_reads_moves_and_marks_messages(
    sdk: GraphServiceClient, company: Company
):
    for number in range(3):
        company.receive("ana", subject=f"Mail {number}")
    messages = sdk.users.by_user_id(company.mail("ana")).messages
    configuration = RequestConfiguration[Query](
        query_parameters=Query(
            top=2, orderby=["receivedDateTime desc"],
            filter="receivedDateTime ge 2020-01-01T00:00:00Z",
        )
    )  # fmt: skip
    configuration.headers.add("Prefer", 'IdType="ImmutableId"')
    page = await messages.get(request_configuration=configuration)
    assert page is not None
    assert page.odata_next_link is not None
    rest = await messages.with_url(page.odata_next_link).get()
    assert rest is not None
    found = [*(page.value or []), *(rest.value or [])]
    assert {message.subject for message in found} == {"Mail 0", "Mail 1", "Mail 2"}
    one = messages.by_message_id(str(found[0].id))
    content = await one.content.get()
    assert b"Good morning." in bytes(content or b"")
    moved = await one.move.post(MovePostRequestBody(destination_id="junkemail"))
    assert moved is not None
    assert moved.parent_folder_id != found[0].parent_folder_id
    marked = await one.patch(Message(is_read=True, categories=["Red"]))
    assert marked is not None
    assert (marked.is_read, marked.categories) == (True, ["Red"])
    await one.delete()
    with pytest.raises(ODataError) as refusal:
        await messages.by_message_id("garbage").get()
    assert refusal.value.error is not None
    assert refusal.value.error.code == "ErrorInvalidIdMalformed"


async def test_the_sdk_follows_delta(sdk: GraphServiceClient, company: Company):
    company.receive("ana")
    folder = sdk.users.by_user_id(company.mail("ana")).mail_folders.by_mail_folder_id("inbox")
    first = await folder.messages.delta.get()
    assert first is not None
    assert len(first.value or []) == 1
    company.receive("ana", subject="Second")
    then = await folder.messages.delta.with_url(str(first.odata_delta_link)).get()
    assert then is not None
    assert [message.subject for message in then.value or []] == ["Second"]


async def test_the_sdk_makes_renews_and_ends_a_subscription(
    sdk: GraphServiceClient, company: Company
):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    with receiving() as receiver:
        made = await sdk.subscriptions.post(Subscription(
            change_type="created", notification_url=receiver.url, client_state="s",
            resource=f"/users/{company.ids['ana']}/messages", expiration_date_time=end,
        ))  # fmt: skip
        assert made is not None
        one = sdk.subscriptions.by_subscription_id(str(made.id))
        renewed = await one.patch(Subscription(expiration_date_time=end + dt.timedelta(hours=1)))
        assert renewed is not None
        company.receive("ana")
        assert receiver.next()[0]["subscriptionId"] == made.id
        await one.delete()
    left = await sdk.subscriptions.get()
    assert left is not None
    assert left.value == []


async def test_the_sdk_orders_resource_data_and_authorises_anew(
    sdk: GraphServiceClient, company: Company
):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    with receiving() as receiver:
        made = await sdk.subscriptions.post(Subscription(
            change_type="created", notification_url=receiver.url, client_state="s",
            lifecycle_notification_url=receiver.url, expiration_date_time=end,
            resource=f"/users/{company.ids['ana']}/messages?$select={SELECTED}",
            include_resource_data=True, encryption_certificate=OURS.certificate,
            encryption_certificate_id="first",
        ))  # fmt: skip
        assert made is not None
        assert (made.include_resource_data, made.encryption_certificate_id) == (True, "first")
        one = sdk.subscriptions.by_subscription_id(str(made.id))
        await one.reauthorize.post()
        company.receive("ana", subject="By the SDK")
        (told,) = receiver.next()
        assert OURS.open(told["encryptedContent"])["subject"] == "By the SDK"
        await one.delete()


async def test_the_sdk_reads_message_traces(sdk: GraphServiceClient, company: Company):
    message_id = company.receive("ana", subject="Traced")
    page = await sdk.admin.exchange.tracing.message_traces.get()
    assert page is not None
    (found,) = page.value or []
    assert (found.message_id, found.subject) == (message_id, "Traced")
    assert found.recipient_address == company.mail("ana")
    assert found.status == ExchangeMessageTraceStatus.Delivered
    assert found.received_date_time is not None


async def test_the_sdk_sends_a_batch(
    sdk: GraphServiceClient, adapter: GraphRequestAdapter, company: Company
):
    company.receive("ana", subject="In a batch")
    content = BatchRequestContent()
    content.add_request_information(sdk.organization.to_get_request_information())
    messages = sdk.users.by_user_id(company.mail("ana")).messages
    content.add_request_information(messages.to_get_request_information())
    content.add_request_information(sdk.users.by_user_id("nobody").to_get_request_information())
    answers = await BatchRequestBuilder(adapter).post(content)
    assert sorted(answers.get_response_status_codes().values()) == [200, 200, 404]
