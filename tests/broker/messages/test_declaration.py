import pytest

from broker import messages
from broker.messages.declaration import DECLARED, declaration_of, message


def test_a_declared_message_is_in_the_union_and_is_found_by_its_struct():
    for tag, declaration in DECLARED.items():
        assert declaration_of(declaration.kind) is declaration
        assert getattr(messages, declaration.kind.__name__) is declaration.kind
        with pytest.raises(Exception, match="missing required field"):
            messages.decode(b'{"kind":"%s"}' % tag.encode())


@pytest.mark.parametrize(
    ("tag", "topic", "writer", "reason"),
    [
        ("bid", "new/{host}", "", "has the tag bid"),
        ("new", "bid/{a}/{b}", "", "the topic bid/{a}/{b}"),
        ("new", "new/{host}", "lam", "no level lam"),
    ],
)
def test_a_declaration_that_clashes_is_refused(tag, topic, writer, reason):
    class New(messages.Message, frozen=True, tag=tag):
        """A message that nobody needs."""

    with pytest.raises(ValueError, match=reason):
        message(topic, sender="WAM", receivers="feeder", writer=writer)(New)
    assert "new" not in DECLARED


def test_senders_and_receivers_are_said_in_words():
    assert DECLARED["lam-bid"].sender == "LAM host of the LAM"
    assert DECLARED["done"].sender == "every service"
    assert DECLARED["position"].sender == "population host, live host"
    assert DECLARED["bid"].receiver == "LAM host of the LAM"
