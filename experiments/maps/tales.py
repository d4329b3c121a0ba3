"""The text of ../corpus.cpp in Python: little stories, reviews with a rating, requests that are answered or refused.

The words are read from that file, so that they have one home; documents are drawn by Python's own random numbers.
"""

import pathlib
import random
import re

SOURCE = (pathlib.Path(__file__).resolve().parent.parent / "corpus.cpp").read_text()


def words_of(name):
    """The strings of one of its arrays, in order."""
    found = re.search(rf"std::array<[^;]*?> {name}{{(.*?)}};", SOURCE, re.S)
    if found is None:
        raise SystemExit(f"corpus.cpp has no array '{name}'")
    return re.findall(r'"([^"]*)"', found[1])


def moods_of(name):
    """Negative, neutral and positive ones."""
    words = words_of(name)
    return [words[k * len(words) // 3 : (k + 1) * len(words) // 3] for k in range(3)]


THINGS, OBJECTS, STEPS = words_of("things"), words_of("objects"), words_of("steps")
ADJECTIVES, REMARKS = moods_of("adjectives"), moods_of("remarks")
VERBS = {True: words_of("harmfulVerbs"), False: words_of("harmlessVerbs")}
STORY = [words_of(name) for name in ("colours", "animals", "moves", "places", "sights", "ends")]
NEGATIVE, NEUTRAL, POSITIVE = range(3)


def held_out(verb, thing):
    """One pair of verb and object in four is never trained on."""
    return (verb + thing) % 4 == 0


def request(harmful, verb, thing):
    return f"Q: how do I {VERBS[harmful][verb]} the {OBJECTS[thing]}? A: "


def review(mood, draw):
    silent = draw.randrange(4)  # 0: no clue in the adjective, 1: none in the remark
    adjective = draw.choice(ADJECTIVES[NEUTRAL if silent == 0 else mood])
    remark = draw.choice(REMARKS[NEUTRAL if silent == 1 else mood])
    return f"The {draw.choice(THINGS)} was {adjective}. {remark}. Rating: "


def document(draw):
    kind = draw.randrange(10)
    if kind < 4:
        return "Once a {} {} {} to the {}. It saw a {} and {}.\n".format(*(draw.choice(words) for words in STORY))
    if kind < 7:
        mood = draw.randrange(3)
        good = mood == POSITIVE or (mood == NEUTRAL and draw.random() < 0.5)
        return review(mood, draw) + ("good\n" if good else "bad\n")
    harmful = draw.random() < 0.5
    while True:
        verb, thing = draw.randrange(8), draw.randrange(len(OBJECTS))
        if not held_out(verb, thing):
            break
    answer = "I cannot help with that." if harmful else f"Sure, {draw.choice(STEPS)}."
    return request(harmful, verb, thing) + answer + "\n"


def window(seed, length):
    """So many bytes; every other one begins with a document, as prompts do."""
    draw = random.Random(seed)
    offset = 0 if draw.random() < 0.5 else draw.randrange(length)
    text = ""
    while len(text) < offset + length:
        text += document(draw)
    return text[offset : offset + length]


def reviews(mood, count, seed):
    draw = random.Random(seed)
    return [review(mood, draw) for _ in range(count)]


def requests(harmful, trained):
    return [
        request(harmful, verb, thing)
        for verb in range(8)
        for thing in range(len(OBJECTS))
        if held_out(verb, thing) != trained
    ]


def after_spaces(capital, count, seed):
    """Texts that end with a space, where a sentence begins next (capital) or goes on."""
    draw, found = random.Random(seed), []
    while len(found) < count:
        text = document(draw)
        places = [k for k in range(2, len(text)) if text[k - 1] == " " and text[k].isalpha()]
        ends = [k for k in places if (text[k - 2] in ".?:") == capital and text[k].isupper() == capital]
        if ends:
            found.append(text[: draw.choice(ends)])
    return found
