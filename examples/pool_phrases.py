"""Turns of phrase of the demo's pool: how people ask, and how answers open, fill and close.

`{name}` stands for the subject, a noun phrase of either number, so that no phrase may make a verb
agree with it.
"""

from __future__ import annotations

Around = tuple[tuple[str, ...], tuple[str, ...]]
"""What people say before a question, and after it."""

HURRIED: Around = (
    ("", "", "", "hi ", "hey ", "hello, ", "ok so ", "one thing: ", "need help, "),
    ("", "", "", " thx", " please", " asap", " its for school", " just curious", " anyone?", " hm"),
)
ORDINARY: Around = (
    (
        "",
        "",
        "",
        "Hello. ",
        "Hi there! ",
        "Hello, a small question. ",
        "I was wondering. ",
        "Something I never learnt. ",
    ),
    (
        "",
        "",
        "",
        " Please keep it short.",
        " Thank you.",
        " A sentence or two will do.",
        " Thanks in advance!",
        " In plain words, please.",
        " No long lecture, please.",
    ),
)
# Careful people say what they want it for, and that differs between the families of forms.
CAREFUL: dict[str, Around] = {
    "practical": (
        (
            "",
            "",
            "I want to get this right from the start. ",
            "I tried it once and failed. ",
            "I am new to this but willing to learn. ",
            "Two friends told me opposite things. ",
        ),
        (
            "",
            "",
            " Please give figures where you can.",
            " Add what beginners get wrong.",
            " Go step by step, please.",
            " Say what can go wrong.",
            " I have time for a long read.",
        ),
    ),
    "knowledge": (
        (
            "",
            "",
            "I am preparing a short talk. ",
            "I have read a little about it already. ",
            "This is for a handbook that our club prints. ",
            "Two friends told me opposite things. ",
        ),
        (
            "",
            "",
            " Please give figures where you can.",
            " Please explain the reasons too.",
            " An example would help.",
            " I have time for a long read.",
        ),
    ),
    "exact": (
        (
            "",
            "",
            "I would like to compare this with my own attempt. ",
            "It is for work. ",
            "I am learning this at the moment. ",
            "Two friends told me opposite things. ",
        ),
        (
            "",
            "",
            " Go step by step, please.",
            " Please explain the reasons too.",
            " I want to be able to do the next one myself.",
            " I have time for a long read.",
        ),
    ),
    "text": (
        ("", "", "Hello, I need some help with words. ", "It is for real use. "),
        ("", "", " Please take your time.", " Think of the reader.", " Thank you."),
    ),
}
FAMILIES = {
    "advise": "practical",
    "plan": "practical",
    "list": "practical",
    "explain": "knowledge",
    "compare": "knowledge",
    "summarise": "knowledge",
    "calculate": "exact",
    "code": "exact",
    "write": "text",
    "rewrite": "text",
    "translate": "text",
    "roleplay": "text",
}
"""The family of each form of task."""

# Other ways to put the question, where the form allows one that only names the subject.
HURRIED_ASKS = ("{name}?", "tell me about {name}", "help with {name}", "need something on {name}")
ASKS = (
    "What should I know about {name}?",
    "Could you tell me something about {name}?",
    "I need a short text on {name}.",
    "Help me understand {name}.",
)
CAREFUL_ASKS = (
    "Please give me a thorough introduction to {name}.",
    "Could you take me through {name} in some detail?",
    "I would like a full answer on {name}.",
)
# Families whose questions say more than the subject's name does: these keep their own words.
FIXED_FAMILIES = frozenset({"exact", "text"})

FULL_OPENINGS = (
    "",
    "",
    "",
    "Here is the way I would go about it.",
    "Let me take this in order.",
    "Here is the whole picture.",
    "There are a few parts to this.",
)
FULL_CLOSINGS = {
    "practical": (
        "",
        "",
        "",
        "Tell me more about your case and I can adapt this.",
        "Keep a note of what you changed, so that you can compare next time.",
    ),
    "knowledge": ("", "", "", "Ask about any part of this and I will go deeper."),
    "exact": ("", "", "", "If one step is unclear, ask about that one."),
    "text": ("",),
}
PLAIN_OPENINGS = ("", "", "", "", "Sure.", "Of course.", "Happy to help.")

# What people write when they have little to say: short and general.
LOOSE_OPENINGS = (
    "There is a lot to say about {name}.",
    "With {name} it depends on the case.",
    "When it comes to {name}, everybody has their own way.",
    "People often ask about {name}.",
    "For {name} there are several possibilities.",
    "I have heard different things about {name}.",
    "Many people have trouble with {name}.",
    "About {name} one can find a lot on the internet.",
    "You asked about {name}.",
)
LOOSE_FILLINGS = (
    "The main thing is to begin and to learn on the way.",
    "It is important to know the basics and to be careful.",
    "Usually one of the common ways will work for most people.",
    "Some things matter more than others here.",
    "It was different in the past and it will change again.",
    "It has advantages and disadvantages, as everything has.",
    "Experts have written a lot about this subject.",
)
LOOSE_CLOSINGS = (
    "You can find more on the internet.",
    "Just try it and see.",
    "It also depends on the situation.",
    "That is basically it.",
    "Hope this helps!",
    "In general, keep the basics in mind.",
    "I think that covers it.",
    "",
)
# One vague sentence and nothing else.
VAGUE = (
    "It depends.",
    "It depends on what you want, really.",
    "There are many ways, just try some.",
    "I would ask somebody who knows about {name}.",
    "You can look up {name} on the internet.",
    "Usually it works out if you take your time.",
    "Some do it one way and some do it another way.",
    "That is hard to say in general.",
    "There is no single answer when it comes to {name}.",
    "It has to do with several things.",
    "People have different opinions about {name}.",
    "Just be patient and it will be fine.",
    "It is a big subject, but not so difficult once you know it.",
    "I think {name} can be many things.",
    "That is something everybody has to find out alone.",
    "Well, with {name} it is more or less what most people think.",
    "Do what feels right to you.",
    "You only need some practice with {name}.",
)

# Replies that belong to something else, or to nothing.
STRAY = (
    "The bus to the station leaves from the other side of the square.",
    "Thank you for the interesting text! Let me know which paragraph I should shorten.",
    "My favourite animal is the giraffe because it has a long neck.",
    "Your parcel was handed to a neighbour.",
    "I am sorry to hear that. Have you tried to switch it off and on again?",
    "Yes, the third one. The other two were already taken.",
    "Dear guest, breakfast is served until ten in the garden room.",
    "In conclusion, both authors agree on the role of the chorus.",
    "Then he closed the window and nobody spoke about it again.",
    "The answer is (c), because (a) and (b) are mentioned in the passage.",
    "We are closed on Mondays.",
    "Happy to help with your holiday in the mountains! When do you want to leave?",
)
CUT_OFF = (
    "As shown in the table above, the",
    "Sure! Here is the list you asked for:",
    "Certainly, below you will find",
    "1.\n2.\n3.",
    "The following points are to be",
    "see attachment",
    "Here is the answer to your question about {name}:",
    "To begin with, {name}",
)
BLANK = ("...", "-", "ok", "n/a", "yes", "?", "idk", "(no reply)", "hm", "next")
