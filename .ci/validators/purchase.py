"""purchase.py ENDPOINTS WORK VERSION: the purchase of the README, by a client that is generated from a public document.

Nothing here knows a path, a header or the name of a member: what the generator did not find in the document is not there.
"""

import importlib
import json
import os
import subprocess
import sys
import time
import uuid

endpoints, work, version = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
package = f"agora_client_{version}"
programs = os.path.dirname(sys.executable)
subprocess.run(
    [
        os.path.join(programs, "openapi-python-client"), "generate",
        "--path", f"docs/interfaces/openapi-gateway-{version}.json",
        "--output-path", os.path.join(work, package),
        "--meta", "none",
    ],
    check=True,
    # It formats what it writes with a program that stands beside it.
    env=os.environ | {"PATH": programs + os.pathsep + os.environ["PATH"]},
)
sys.path.insert(0, work)

generated, models = (importlib.import_module(f"{package}{part}") for part in ("", ".models"))


def operation(tag, name):
    return importlib.import_module(f"{package}.api.{tag}.{name}")


get_dashboard = operation("dashboard", "get_dashboard")
get_order, place_order = operation("orders", "get_order"), operation("orders", "place_order")
list_products = operation("products", "list_products")
sign_in = operation("sessions", "sign_in")
get_me, sign_up = operation("users", "get_me"), operation("users", "sign_up")

PATIENCE_S = 30
gateway = endpoints["gateway"]


def expect(kind, answer):
    assert isinstance(answer, kind), f"{kind.__name__} expected, not {answer}"
    return answer


anybody = generated.Client(base_url=gateway)
email, password = f"{uuid.uuid4().hex}@example.org", "correct horse battery"
signed_up = sign_up.sync(client=anybody, body=models.NewUser(email=email, name="Generated", password=password))
user = expect(models.User, signed_up)
session = sign_in.sync(client=anybody, body=models.Credentials(email=email, password=password))
session = expect(models.Session, session)
client = generated.AuthenticatedClient(base_url=gateway, token=session.access_token)
assert expect(models.User, get_me.sync(client=client)).id == user.id

page = expect(models.ProductPage, list_products.sync(client=anybody, page_size=5))
wanted = next(product for product in page.products if product.available > 2)
line = models.NewOrderItem(product_id=wanted.id, quantity=2)
body = models.NewOrder(items=[line])
if version != "v1":
    body.shipping_address = models.Address(name="Ada", street="12 St James's Square", city="London", country="GB")
order = expect(models.Order, place_order.sync(client=client, body=body, idempotency_key="generated-1"))
again = expect(models.Order, place_order.sync(client=client, body=body, idempotency_key="generated-1"))
assert again.id == order.id, "one key, one order"
if version == "v1":
    assert order.total_amount == 2 * wanted.price
else:
    assert order.total.amount == 2 * wanted.price.amount
    assert order.shipping_address == body.shipping_address

until = time.monotonic() + PATIENCE_S
while order.status == models.OrderStatus.PENDING:
    assert time.monotonic() < until, "the order stays pending"
    time.sleep(0.1)
    order = expect(models.Order, get_order.sync(client=client, id=order.id))
assert order.status == models.OrderStatus.CONFIRMED, order

dashboard = expect(models.Dashboard, get_dashboard.sync(client=client, user_id=user.id))
assert [shown.id for shown in dashboard.orders] == [order.id]
missing = expect(models.Problem, get_order.sync(client=client, id=user.id))
assert (missing.status, missing.type_) == (404, "/problems/not-found"), missing
print(f"bought 2 of {wanted.name} with a client generated from {version}: {order.status}")
