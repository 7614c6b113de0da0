"""What schemathesis checks of GraphQL, as a hook: its own check takes each error of a field for a failure of the server.

What is valid is executed unless it is over one of the limits of ADR 30; what is made invalid on purpose may be refused; and a
field that fails says why with the name of a kind of problem that is no fault of ours.
"""

import schemathesis

# How `tokens.rs` and `weight.rs` begin what they say.
LIMITS = ("the query may have at most ", "the query weighs more than ")


@schemathesis.check
def graphql_answers(ctx, response, case):
    body = response.json()
    errors = body.get("errors", [])
    codes = [error["extensions"]["code"] for error in errors]
    if response.status_code == 200:
        assert "data" in body, "200 and no data"
        for error in errors:
            assert error["path"], f"no path: {error}"
            assert error["extensions"]["status"] < 500, f"a server error: {error}"
        return
    assert response.status_code == 400, f"status {response.status_code}: {body}"
    assert "data" not in body and errors, f"400, and executed: {body}"
    assert all(code == "bad-request" for code in codes), f"no request that cannot be read: {body}"
    if case.meta.generation.mode.is_positive:
        for error in errors:
            assert error["message"].startswith(LIMITS), f"a valid document is refused: {error}"
