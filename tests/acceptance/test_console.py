"""The console, page by page, without a browser: who may see it, what it shows, what it records, what it refuses."""

import re
from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest

from tests.acceptance.console import hidden_of, post, sign_in, signed_in, token_of
from tests.acceptance.server import Customer, Server, plain_client
from tests.conftest import SettableClock
from tests.waiting import wait_until

NOBODY = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    with signed_in(server) as client:
        yield client


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock) -> Customer:
    """Two charges alike, a refusal, and an hour between."""
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    for generation_id in ("track-1", "track-2"):
        clock.advance(minutes=1)
        assert customer.try_charge("lyria-3-pro", generation_id).status_code == 201
    clock.advance(hours=1)
    return customer


@pytest.fixture
def dispute_id(customer: Customer) -> str:
    body = {"subscription_id": customer.subscription_id, "generation_id": "track-2", "reason": "duplicate", "note": "?"}
    return str(customer.http.post("/v1/disputes", json=body).json()["dispute_id"])


def pages_of(customer: Customer, dispute_id: str) -> list[str]:
    path = f"/console/subscriptions/{customer.subscription_id}"
    return [
        *(
            "/console",
            "/console/disputes",
            f"/console/disputes/{dispute_id}",
            "/console/health",
            "/console/search?q=no-such",
        ),
        *(path, f"{path}?version=2", f"{path}/charges/track-1", f"{path}/what-if", f"{path}/statements/1"),
        *(f"{path}/usage", f"{path}/usage?group_by=model", "/console/trial-balance", "/console/renewals"),
    ]


def test_every_page_is_whole_and_safe(browser: httpx.Client, customer: Customer, dispute_id: str) -> None:
    for path in [*pages_of(customer, dispute_id), "/console/sign-in"]:
        page = browser.get(path)
        assert page.status_code == 200, path
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert len(re.findall("<h1", page.text)) == 1, path
        assert re.search("<title>[^<]+</title>", page.text)
        assert '<html lang="en">' in page.text
        assert not re.search(r"<script(?![^>]*src=)| style=|<style| on\w+=", page.text), "nothing is inline"
        headers = page.headers
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert all(
            rule in policy for rule in ("default-src 'none'", "base-uri 'none'", "form-action", "frame-ancestors")
        )
        assert "unsafe" not in policy
        for asset in re.findall(r'(?:href|src)="(/console/assets/[^"]+)"', page.text):
            assert browser.get(asset).status_code == 200


def test_nobody_sees_a_page_who_is_not_signed_in(server: Server, customer: Customer, dispute_id: str) -> None:
    with plain_client(server.url, {}) as stranger:
        for path in pages_of(customer, dispute_id):
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/console/sign-in")
        with_a_key = stranger.get("/console/health", headers={"Authorization": f"Bearer {server.secret}"})
        assert with_a_key.status_code == 303, "a session is a cookie and nothing else"


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 403), (["charge", "manage"], 403), (["audit"], 303)])
def test_a_key_needs_a_scope_of_the_console(server: Server, scopes: list[str], status: int) -> None:
    key = server.backend.keys.create("a key", scopes).key
    with plain_client(server.url, {}) as client:
        answer = sign_in(client, key)
        assert answer.status_code == status
        assert ("tallystick_session" in client.cookies) == (status == 303)


def test_a_wrong_key_and_a_missing_name_are_told(server: Server) -> None:
    with plain_client(server.url, {}) as client:
        wrong, nameless = sign_in(client, "tsk_nobody"), sign_in(client, server.secret, "  ")
        assert (wrong.status_code, nameless.status_code) == (401, 422)
        assert "There is no such key" in wrong.text
        assert "Say who you are" in nameless.text
        assert "tallystick_session" not in client.cookies


def test_the_cookie_of_a_session_is_for_the_console_alone(server: Server) -> None:
    """Behind a proxy that ends TLS too."""
    with plain_client(server.url, {"X-Forwarded-Proto": "https"}) as client:
        form = client.get("/console/sign-in")
        sent = {"Cookie": form.headers["set-cookie"].partition(";")[0]}
        fields = {**hidden_of(form), "name": "Ada", "key": server.secret}
        answer = client.post("/console/sign-in", data=fields, headers=sent)
    (cookie,) = (each for each in answer.headers.get_list("set-cookie") if each.startswith("tallystick_session="))
    assert all(part in cookie.lower() for part in ("httponly", "samesite=strict", "path=/console", "secure"))


def test_sign_in_leads_on_to_where_one_came_from_and_nowhere_else(server: Server, customer: Customer) -> None:
    goal = f"/console/subscriptions/{customer.subscription_id}?version=2"
    with plain_client(server.url, {}) as client:
        to_sign_in = client.get(goal).headers["location"]
        fields = hidden_of(client.get(to_sign_in))
        assert fields["next"] == goal
        answer = client.post("/console/sign-in", data={**fields, "name": "Ada", "key": server.secret})
        assert answer.headers["location"] == goal
    for elsewhere in ("https://evil.example/", "//evil.example", "/console/\\evil", "/v1/plans"):
        with plain_client(server.url, {}) as client:
            fields = hidden_of(client.get("/console/sign-in", params={"next": elsewhere}))
            answer = client.post(
                "/console/sign-in", data={**fields, "next": elsewhere, "name": "Ada", "key": server.secret}
            )
            assert answer.headers["location"] == "/console"


def test_a_session_ends_with_its_key_and_by_signing_out(server: Server) -> None:
    key = server.backend.keys.create("an agent's", ["audit", "dispute"])
    with (
        plain_client(server.url, {}) as client,
        plain_client(server.url, {}) as other,
        plain_client(server.url, {}) as thief,
    ):
        sign_in(client, key.key)
        sign_in(other, server.secret)
        thief.cookies.update(other.cookies)
        assert client.get("/console/disputes").status_code == 200
        server.backend.keys.revoke(key.key_id)
        assert client.get("/console/disputes").status_code == 303

        assert post(other, "/console/disputes").status_code in {403, 405}
        signed_out = other.post("/console/sign-out", data={"csrf_token": token_of(other.get("/console"))})
        assert (signed_out.status_code, signed_out.headers["location"]) == (303, "/console/sign-in")
        assert thief.get("/console").status_code == 303


def test_an_expired_session_has_to_sign_in_again(server: Server, browser: httpx.Client) -> None:
    with server.backend.connect() as connection:
        connection.execute("UPDATE tallystick.console_sessions SET expires_at = now() - interval '1 second'")
    assert browser.get("/console").status_code == 303


def test_one_box_finds_every_id(browser: httpx.Client, customer: Customer, dispute_id: str) -> None:
    def goal(id: str) -> str:
        return str(browser.get("/console/search", params={"q": id}).headers.get("location"))

    subscription = f"/console/subscriptions/{customer.subscription_id}"
    account = customer.get()["account_id"]
    event = customer.get("events")["data"][2]
    assert goal(customer.subscription_id) == goal(account) == goal(customer.subscription_id.upper()) == subscription
    assert goal("track-1") == f"{subscription}/charges/track-1"
    assert goal(dispute_id) == f"/console/disputes/{dispute_id}"
    assert goal(event["metadata"]["request_id"]) == f"{subscription}?version={event['version']}"
    assert goal(f"{'0' * 32}-{event['position']}") == f"{subscription}?version={event['version']}"
    nothing = browser.get("/console/search", params={"q": "<b>no\x00such"})
    assert nothing.status_code == 200
    assert "Nothing has the id &lt;b&gt;no" in nothing.text


def test_of_several_hits_each_is_shown(browser: httpx.Client, customer: Customer, http: httpx.Client) -> None:
    other = Customer.with_plan(http, "ai-suite-40000-monthly")
    assert other.try_charge("lyria-3", "track-1").status_code == 201
    page = browser.get("/console/search", params={"q": "track-1"})
    assert page.status_code == 200
    assert all(
        f"/console/subscriptions/{each.subscription_id}/charges/track-1" in page.text for each in (customer, other)
    )


def test_a_charge_is_explained_in_a_sentence(browser: httpx.Client, customer: Customer) -> None:
    page = browser.get(f"/console/subscriptions/{customer.subscription_id}/charges/track-1")
    sentence = "\N{MINUS SIGN}300 for one Lyria 3 Pro track, 40,000 → 39,700, by key every scope"
    assert f'<p class="sentence">{sentence}</p>' in page.text
    assert "1 track × 300 credits = 300 credits" in page.text
    assert "Like it, within ten minutes" in page.text
    assert "charges/track-2" in page.text


def test_a_subscription_is_shown_at_any_instant(browser: httpx.Client, customer: Customer) -> None:
    path = f"/console/subscriptions/{customer.subscription_id}"
    events = customer.get("events")["data"]
    now, then = browser.get(path), browser.get(path, params={"at": events[2]["recorded_at"]})
    by_version = browser.get(path, params={"version": 3})
    assert "<dd>39,400</dd>" in now.text
    assert "<dd>39,700</dd>" in then.text
    assert "40,000 → 39,700" in by_version.text
    assert 'rel="prev" href="?version=2"' in by_version.text
    assert 'rel="next" href="?version=4"' in by_version.text
    for query in (
        {"at": "yesterday"},
        {"at": "2999-01-01T00:00:00Z"},
        {"version": "99"},
        {"version": "x"},
        {"version": "9" * 99},
    ):
        assert browser.get(path, params=query).status_code == 422, query
    assert browser.get(path, params={"at": "2001-01-01T00:00:00Z"}).status_code in {404, 409, 422}
    assert browser.get(f"/console/subscriptions/{NOBODY}").status_code == 404
    assert browser.get("/console/subscriptions/none/charges/x").status_code == 404


def test_a_hold_has_a_page(browser: httpx.Client, customer: Customer) -> None:
    customer.post("holds", generation_id="job", model="lyria-3")
    page = browser.get(f"/console/subscriptions/{customer.subscription_id}/charges/job")
    assert "150 held for lyria-3: held" in page.text


def test_a_dispute_is_decided_after_a_dry_run_under_the_agent_s_name(
    browser: httpx.Client, customer: Customer, dispute_id: str, catch_up: Callable[[], None]
) -> None:
    path = f"/console/disputes/{dispute_id}"
    decision = {"outcome": "upheld", "note": "It failed.", "credit_to": "current_cycle", "credits": ""}
    dry = post(browser, path, **decision)
    assert dry.status_code == 200
    assert "This will give back 300; balance 39,400 → 39,700" in dry.text
    assert customer.http.get(f"/v1/disputes/{dispute_id}").json()["status"] == "open"
    assert customer.get("balance")["balance_credits"] == 39_400

    recorded = browser.post(path, data={**hidden_of(dry), "confirm": "yes"})

    assert (recorded.status_code, recorded.headers["location"]) == (303, path)
    assert customer.get("balance")["balance_credits"] == 39_700
    events = customer.http.get("/v1/events", params={"after_position": 0, "limit": 1000}).json()["data"]
    by_the_agent = {each["type"] for each in events if each["metadata"].get("agent") == "Ada"}
    assert by_the_agent == {"DisputeResolved", "ChargeReversed"}
    again = browser.post(path, data={**decision, "csrf_token": token_of(browser.get(path)), "confirm": "yes"})
    assert again.status_code == 409
    assert "We have given back 300 credits" in browser.get(path).text
    catch_up()
    assert "track-2" in browser.get("/console/disputes", params={"status": "upheld"}).text


def test_a_part_is_given_back_and_a_rejection_changes_nothing(
    browser: httpx.Client, customer: Customer, dispute_id: str
) -> None:
    path = f"/console/disputes/{dispute_id}"
    decision = {"outcome": "upheld", "note": "?", "credit_to": "current_cycle"}
    part, rejected = post(browser, path, **decision, credits="100"), post(browser, path, outcome="rejected", note="?")
    assert "This will give back 100; balance 39,400 → 39,500" in part.text
    assert "This will give back nothing; the balance stays 39,400" in rejected.text
    for wrong in ({**decision, "credits": "301"}, {**decision, "outcome": "maybe"}, {**decision, "note": ""}):
        assert post(browser, path, **wrong).status_code == 422


def test_a_form_is_taken_with_its_own_token_and_from_here_alone(
    browser: httpx.Client, server: Server, customer: Customer, dispute_id: str
) -> None:
    path = f"/console/disputes/{dispute_id}"
    form = {"outcome": "rejected", "note": "?", "confirm": "yes"}
    token = token_of(browser.get(path))
    with signed_in(server) as other:
        forged = [
            browser.post(path, data=form),
            browser.post(path, data={**form, "csrf_token": "x"}),
            browser.post(path, data={**form, "csrf_token": token_of(other.get(path))}),
            browser.post(path, data={**form, "csrf_token": token}, headers={"Origin": "https://evil.example"}),
            browser.post(path, data={**form, "csrf_token": token}, headers={"Origin": "null"}),
            browser.post(path, data={**form, "csrf_token": token}, headers={"Sec-Fetch-Site": "cross-site"}),
            browser.post("/console/sign-in", data={"name": "Ada", "key": server.secret}),
            browser.post("/console/sign-out", data={}),
        ]
    assert [each.status_code for each in forged] == [403] * len(forged)
    assert customer.http.get(f"/v1/disputes/{dispute_id}").json()["status"] == "open"
    ours = browser.post(path, data={**form, "csrf_token": token, "confirm": ""}, headers={"Origin": server.url})
    # As browsers send it from a page that wants no referrer.
    withheld = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    recorded = browser.post(path, data={**form, "csrf_token": token}, headers=withheld)
    assert (ours.status_code, recorded.status_code) == (200, 303)


def test_a_dispute_is_opened_from_its_charge(browser: httpx.Client, customer: Customer) -> None:
    path = f"/console/subscriptions/{customer.subscription_id}/charges/track-1"
    token = token_of(browser.get(path))
    opened = browser.post(f"{path}/dispute", data={"csrf_token": token, "reason": "duplicate", "note": "Twice."})
    assert opened.status_code == 303
    assert "Twice." in browser.get(opened.headers["location"]).text


def test_what_if_is_a_form_and_a_view(browser: httpx.Client, customer: Customer) -> None:
    path = f"/console/subscriptions/{customer.subscription_id}/what-if"
    answer = browser.get(path, params={"without": "track-1"})
    assert "The balance would be 39,700, and is 39,400: +300" in answer.text
    assert "track-1 charged, 300 credits</td><td>nothing</td>" in answer.text
    repriced = browser.get(path, params={"model": "lyria-3-pro", "credits": "100"})
    assert "The balance would be 39,800" in repriced.text
    assert browser.get(path, params={"without": "no-such"}).status_code == 422
    assert browser.get(path, params={"model": "lyria-3-pro"}).status_code == 422


def test_files_that_prove_themselves_are_taken_here(
    browser: httpx.Client, server: Server, customer: Customer, dispute_id: str
) -> None:
    server.seal()
    receipt = browser.get(f"/console/subscriptions/{customer.subscription_id}/charges/track-1/receipt")
    evidence = browser.get(f"/console/disputes/{dispute_id}/evidence")
    assert (receipt.status_code, receipt.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert (evidence.status_code, evidence.content[:2]) == (200, b"PK")


def test_without_a_scope_its_pages_are_refused(server: Server, customer: Customer, dispute_id: str) -> None:
    with signed_in(server, "audit") as auditor, signed_in(server, "dispute") as agent:
        assert auditor.get(f"/console/disputes/{dispute_id}").status_code == 403
        assert agent.get(f"/console/disputes/{dispute_id}").status_code == 200
        assert agent.get("/console/health").status_code == 403
        assert agent.get(f"/console/subscriptions/{customer.subscription_id}/what-if").status_code == 403


def test_a_confined_key_sees_its_own(server: Server, http: httpx.Client, customer: Customer, dispute_id: str) -> None:
    other = Customer.with_plan(http, "ai-suite-40000-monthly")
    key = server.backend.keys.create("confined", ["audit", "dispute"], subscription_ids=[UUID(other.subscription_id)])
    path = f"/console/subscriptions/{customer.subscription_id}"
    with plain_client(server.url, {}) as client:
        assert sign_in(client, key.key).status_code == 303
        assert client.get(f"/console/subscriptions/{other.subscription_id}").status_code == 200
        for hidden in (path, f"{path}/charges/track-1", f"{path}/what-if", f"{path}/statements/1"):
            assert client.get(hidden).status_code == 404, hidden
        assert client.get(f"/console/disputes/{dispute_id}").status_code == 404
        assert client.get("/console/health").status_code == 403
        assert "Nothing has the id" in client.get("/console/search", params={"q": customer.subscription_id}).text
        assert "Nothing has the id" in client.get("/console/search", params={"q": "track-1"}).text


def test_the_books_are_shown(browser: httpx.Client, customer: Customer, catch_up: Callable[[], None]) -> None:
    catch_up()
    path = f"/console/subscriptions/{customer.subscription_id}"
    usage = browser.get(f"{path}/usage", params={"group_by": "model"})
    assert re.search(r"<td>lyria-3-pro</td><td class=.number.>2</td><td class=.number.>600</td>", usage.text)
    assert browser.get(f"{path}/usage", params={"group_by": "weather"}).status_code == 422
    balance = browser.get("/console/trial-balance")
    assert "Every credit is accounted for" in balance.text
    assert customer.subscription_id in balance.text
    assert browser.get("/console/trial-balance", params={"from": "noon"}).status_code == 422
    statement = browser.get(f"{path}/statements/1")
    assert "<dd>39,400</dd>" in statement.text
    assert browser.get(f"{path}/statements/9").status_code == 404
    assert f'href="{path}"' in browser.get("/console/renewals").text


def test_texts_of_others_are_text(browser: httpx.Client, http: httpx.Client) -> None:
    script = "<script>alert(1)</script>"
    body = {"account_id": script, "plan_id": "ai-suite-40000-monthly"}
    id = http.post("/v1/subscriptions", json=body).json()["subscription_id"]
    customer = Customer(http, id)
    customer.post("suspend", reason=script)
    customer.post("reinstate", reason=script)
    assert customer.try_charge("lyria-3", "track").status_code == 201
    dispute = {"subscription_id": id, "generation_id": "track", "reason": "other", "note": script}
    dispute_id = http.post("/v1/disputes", json=dispute).json()["dispute_id"]
    for path in (f"/console/subscriptions/{id}", f"/console/disputes/{dispute_id}", f"/console/search?q=x{script}"):
        page = browser.get(path)
        assert script not in page.text
        assert "&lt;script&gt;" in page.text


def test_an_empty_ledger_has_pages_too(browser: httpx.Client) -> None:
    assert "None. A dispute is opened" in browser.get("/console/disputes").text
    assert browser.get("/console/health").status_code == 200


def test_many_charges_make_a_small_chart(browser: httpx.Client, http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "max-pro-240000-yearly")
    for batch in range(3):
        charges = [
            {"subscription_id": customer.subscription_id, "generation_id": f"g{batch}-{n}", "model": "example-image-1"}
            for n in range(1_000)
        ]
        assert http.post("/v1/charges/batch", json={"charges": charges}).status_code == 200
    page = wait_until(lambda: browser.get(f"/console/subscriptions/{customer.subscription_id}"))
    assert page.status_code == 200
    assert len(page.text) < 60_000
