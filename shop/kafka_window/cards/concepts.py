"""What the cards say, in the sequence in which a newcomer takes them. What they do is in `acts.py`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One concept."""

    name: str
    """The act's."""
    title: str
    what: str
    does: str
    """What *do it* does."""
    question: str
    choices: tuple[tuple[str, str], ...]
    """By the name that a verdict has for it, what one may guess."""


CARDS = (
    Card(
        name="event",
        title="Event",
        what="An event says that something has happened: “this order was created”. It has a key, a body, and headers "
        "that say what it is and when it was.",
        does="Writes one event to a topic of its own and reads it back.",
        question="What does the broker give back?",
        choices=(("body", "The body alone"), ("all", "Key, headers and body, as they were written"),
                 ("row", "A row that can be changed later")),
    ),
    Card(
        name="topic",
        title="Topic",
        what="A topic is a log with a name: messages are added at its end, and each gets the next number. In the shop "
        "each app has one, such as orders.events.",
        does="Writes three messages; two readers read them, one after the other.",
        question="The first reader has read all three. How many are left for the second one?",
        choices=(("0", "None"), ("1", "One"), ("3", "All three")),
    ),
    Card(
        name="key",
        title="Partition and key",
        what="A topic consists of partitions, each a log of its own; only within one of them is there a sequence. The "
        "key chooses the partition, so all events of an order come in sequence.",
        does="Writes twelve messages with three keys to three partitions.",
        question="In how many partitions does each key lie?",
        choices=(("1", "In one"), ("3", "In all three"), ("4", "Each message where there is room")),
    ),
    Card(
        name="offset",
        title="Offset and commit",
        what="The offset is a message's number in its partition. A group commits the offset from which it would go on; "
        "the broker keeps it.",
        does="A reader reads five messages, commits offset 3 and leaves. Another one of its group takes over.",
        question="At which offset does the other one begin?",
        choices=(("0", "0, the beginning"), ("3", "3, what was committed"), ("5", "5, after what was read")),
    ),
    Card(
        name="acks",
        title="Producer, acks and in-sync replicas",
        what="acks says what a producer waits for: nothing (0), the leader (1), or all copies that are in sync (all). "
        "The shop's relay waits for all.",
        does="Writes one message with acks=0 and one with acks=all.",
        question="What does the producer know of the first one?",
        choices=(("offset", "Its offset"), ("nothing", "Nothing: it may be lost"),
                 ("copies", "How many copies it has")),
    ),
    Card(
        name="group",
        title="Consumer group",
        what="Each group gets every message: publish/subscribe. Within a group each message goes to one member: "
        "point-to-point.",
        does="Ten messages; one group has two members, another group has one.",
        question="Who gets how many?",
        choices=(("each", "Each group gets 10; the two members share theirs"), ("shared", "The groups share the 10"),
                 ("all", "Each of the three members gets 10")),
    ),
    Card(
        name="rebalance",
        title="Rebalance",
        what="The partitions of a topic are shared out among the members of a group. When one comes or goes they are "
        "shared out again.",
        does="Two members have a partition each. One leaves.",
        question="Who has its partition then?",
        choices=(("nobody", "Nobody, until it comes back"), ("other", "The other member"),
                 ("broker", "The broker, which reads it instead")),
    ),
    Card(
        name="lag",
        title="Lag",
        what="Lag is how far a group is behind: the end of the log minus what it has committed. It is the first figure "
        "to look at when something is slow.",
        does="Writes ten messages. A group reads all of them and commits offset 4.",
        question="How large is its lag?",
        choices=(("0", "0: it has read all"), ("4", "4"), ("6", "6")),
    ),
    Card(
        name="once",
        title="At least once, and the inbox",
        what="Who ends between the work and the commit gets the same messages again. An inbox notes what was handled, "
        "so that the second delivery does nothing.",
        does="A reader gets three messages and leaves without a commit. Its successor handles them through "
        "the shop's inbox.",
        question="How often is something delivered, and how often does it take effect?",
        choices=(("3-3", "3 deliveries, 3 effects"), ("6-6", "6 deliveries, 6 effects"),
                 ("6-3", "6 deliveries, 3 effects")),
    ),
    Card(
        name="retry",
        title="Retry and dead letter",
        what="What fails for a while is tried again later; what can never work goes to a dead letter topic, for a "
        "person to look at. Neither stops the messages behind it.",
        does="Writes a message that nobody can read to orders.events, waits for its dead letters and discards them.",
        question="What do the groups do with it?",
        choices=(("wait", "They stop until somebody removes it"), ("aside", "They put it aside and go on"),
                 ("lose", "They lose it")),
    ),
    Card(
        name="replay",
        title="Replay",
        what="Messages stay after they were read. A group that is set back to an earlier offset reads the same once "
        "more, such as after a mistake in its code.",
        does="A group reads four messages and commits them. Then it is set back to offset 1.",
        question="How many does it get again?",
        choices=(("0", "None: it has had them"), ("3", "Three"), ("4", "Four")),
    ),
    Card(
        name="retention",
        title="Retention",
        what="A topic keeps its messages for a time or up to a size, whether or not somebody has read them. Then the "
        "oldest are deleted.",
        does="Writes five messages, has the broker delete the first three, and writes one more.",
        question="Which offset does the new one get?",
        choices=(("2", "2: it is the third one now"), ("3", "3: the first that is free"),
                 ("5", "5: numbers are never given again")),
    ),
    Card(
        name="cluster",
        title="Cluster and leader",
        what="Brokers together are a cluster. Of each partition one of them is the leader, and others keep copies; if "
        "the leader dies, one of those in sync takes over.",
        does="Makes a topic, asks who leads its partition, and writes to it.",
        question="Which broker takes the message?",
        choices=(("any", "Any of them"), ("leader", "The leader of the partition"), ("all", "All, at the same moment")),
    ),
)  # fmt: skip
