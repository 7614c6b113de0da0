"""purchase.py ENDPOINTS WORK: the purchase of the README, by a client that is generated from the public document.

Nothing here knows a path, a header or the name of a member: what the generator did not find in the document is not there.
"""

import json
import os
import subprocess
import sys
import time
import uuid

endpoints, work = json.load(open(sys.argv[1])), sys.argv[2]
programs = os.path.dirname(sys.executable)
subprocess.run(
    [
        os.path.join(programs, "openapi-python-client"), "generate",
        "--path", "docs/interfaces/openapi-gateway-v1.json",
        "--output-path", os.path.join(work, "agora_client"),
        "--meta", "none",
    ],
    check=True,
    # It formats what it writes with a program that stands beside it.
    env=os.environ | {"PATH": programs + os.pathsep + os.environ["PATH"]},
)
sys.path.insert(0, work)

from agora_client import AuthenticatedClient, Client, models  # noqa: E402
from agora_client.api.dashboard import get_dashboard  # noqa: E402
from agora_client.api.orders import get_order, place_order  # noqa: E402
from agora_client.api.products import list_products  # noqa: E402
from agora_client.api.sessions import sign_in  # noqa: E402
from agora_client.api.users import get_me, sign_up  # noqa: E402

PATIENCE_S = 30
gateway = endpoints["gateway"]


def expect(kind, answer):
    assert isinstance(answer, kind), f"{kind.__name__} expected, not {answer}"
    return answer


anybody = Client(base_url=gateway)
email, password = f"{uuid.uuid4().hex}@example.org", "correct horse battery"
signed_up = sign_up.sync(client=anybody, body=models.NewUser(email=email, name="Generated", password=password))
user = expect(models.User, signed_up)
session = sign_in.sync(client=anybody, body=models.Credentials(email=email, password=password))
session = expect(models.Session, session)
client = AuthenticatedClient(base_url=gateway, token=session.access_token)
assert expect(models.User, get_me.sync(client=client)).id == user.id

page = expect(models.ProductPage, list_products.sync(client=anybody, page_size=5))
wanted = next(product for product in page.products if product.available > 2)
line = models.NewOrderItem(product_id=wanted.id, quantity=2)
body = models.NewOrder(items=[line])
order = expect(models.Order, place_order.sync(client=client, body=body, idempotency_key="generated-1"))
again = expect(models.Order, place_order.sync(client=client, body=body, idempotency_key="generated-1"))
assert again.id == order.id, "one key, one order"
assert order.total_amount == 2 * wanted.price

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
print(f"bought 2 of {wanted.name} with a generated client: {order.status}")
