"""Everyday sums of the demo's pool: house, kitchen, garden, camera and road."""

from __future__ import annotations

import math

import numpy as np

from pool_subject import Subject, capitalised, pick


def curtains(rng: np.random.Generator) -> Subject:
    width, drop = int(rng.integers(10, 31)) * 10, int(rng.integers(14, 27)) * 10
    bolt = int(pick(rng, [135, 140, 150]))
    room = pick(rng, ["bedroom", "kitchen", "nursery", "study"])
    panels = math.ceil(width * 2 / bolt)
    length = panels * (drop + 28)
    return Subject(
        f"How much fabric {bolt} cm wide do I need for {room} curtains on a rail of {width} cm, "
        f"with a drop of {drop} cm?",
        f"the fabric for {room} curtains {width} cm wide and {drop} cm long",
        (
            f"For soft folds the cloth should be twice as wide as the rail: 2·{width} = "
            f"{2 * width} cm.",
            f"One width of the bolt is {bolt} cm, so {2 * width}/{bolt} = {2 * width / bolt:.2f}, "
            f"rounded up to {panels} panels.",
            f"Each panel is the drop plus 20 cm for the lower hem and 8 cm for the heading: "
            f"{drop} + 28 = {drop + 28} cm.",
            f"Together {panels}·{drop + 28} = {length} cm; "
            f"buy {math.ceil(length / 10) / 10:.1f} m.",
            "If the pattern repeats every 32 cm, round each panel up to the next multiple: "
            f"{math.ceil((drop + 28) / 32) * 32} cm, or "
            f"{math.ceil((drop + 28) / 32) * 32 * panels / 100:.2f} m in all.",
            "Wash the fabric before you cut it, since cotton shrinks by 3 to 5 percent, "
            "and measure the drop at both ends of the rail.",
        ),
        (f"You need {panels} panels of {drop + 28} cm, or {length / 100:.2f} m.",),
        f"You need {width / 100:.1f} m, as wide as the rail.",
    )


def heater_cost(rng: np.random.Generator) -> Subject:
    watts, hours = int(rng.integers(2, 21)) * 100, int(rng.integers(2, 10))
    days, price = int(pick(rng, [14, 20, 30, 60, 90])), float(pick(rng, [0.25, 0.3, 0.35, 0.4]))
    device = pick(rng, ["fan heater", "dehumidifier", "radiator", "towel rail"])
    energy = watts / 1000 * hours * days
    return Subject(
        f"What does a {device} of {watts} W cost if it runs {hours} hours a day for {days} days "
        f"at {price:.2f} euros per kWh?",
        f"the running cost of a {device} of {watts} W",
        (
            f"The energy is power times time: {watts / 1000:g} kW · {hours} h = "
            f"{watts / 1000 * hours:g} kWh a day.",
            f"Over {days} days that makes {energy:g} kWh.",
            f"Multiply by the price: {energy:g} kWh · {price:.2f} euros = "
            f"{energy * price:.2f} euros.",
            f"A thermostat that switches it off a third of the time saves "
            f"{energy * price / 3:.2f} euros of this.",
            "Check the plate on the device, because the power may be given per step.",
            "The basic fee of the contract is not included.",
        ),
        (f"It uses {energy:g} kWh and costs {energy * price:.2f} euros.",),
        f"It costs {watts * price:.0f} euros, the watts times the price.",
    )


def wall_paint(rng: np.random.Generator) -> Subject:
    length, width = (float(rng.integers(25, 61)) / 10 for _ in range(2))
    height, windows = float(pick(rng, [2.4, 2.5, 2.6, 2.8])), int(rng.integers(1, 4))
    walls, holes = 2 * (length + width) * height, 1.8 * windows + 1.6
    litres = (walls - holes) * 2 / 7
    return Subject(
        f"How much paint do I need for the walls of a room of {length} x {width} m, {height} m "
        f"high, with {windows} windows and a door?",
        f"the paint for a room of {length} x {width} m",
        (
            f"The four walls measure 2·({length} + {width})·{height} = {walls:.1f} m².",
            f"Take off 1.8 m² for each window and 1.6 m² for the door, {holes:.1f} m² together: "
            f"{walls - holes:.1f} m² remain.",
            f"Wall paint covers about 7 m² per litre, and two coats need "
            f"2·{walls - holes:.1f}/7 = {litres:.1f} litres.",
            f"Buy {math.ceil(litres * 1.1)} litres, which leaves a tenth for touching up.",
            "Rough plaster drinks up to a third more.",
            "Prime new plaster first.",
        ),
        (f"About {litres:.1f} litres for two coats on {walls - holes:.1f} m².",),
        f"About {length * width / 7:.1f} litres for {length * width:.0f} m².",
    )


def coffee_ratio(rng: np.random.Generator) -> Subject:
    cups, size = int(rng.integers(2, 13)), int(pick(rng, [125, 150, 180, 200, 250]))
    method = pick(rng, ["a filter machine", "a hand filter", "a French press"])
    water = cups * size
    return Subject(
        f"How much coffee do I take for {cups} cups of {size} mL from {method}?",
        f"the amount of coffee for {cups} cups of {size} mL",
        (
            f"{cups} cups of {size} mL are {water} mL; the grounds keep about twice their weight "
            "in water, so pour a little more.",
            f"A common ratio is 60 g per litre: {water / 1000:g}·60 = {water * 0.06:.0f} g.",
            f"Pour {water + round(water * 0.12)} mL of water at 92 to 96 degrees, and let it run "
            "for three to four minutes.",
            f"Without scales: a level measuring spoon holds about 7 g, so take "
            f"{water * 0.06 / 7:.0f} spoons.",
            "If it tastes sour, grind finer; if bitter, coarser.",
            "Dark roasts weigh less per spoon.",
        ),
        (f"Take {water * 0.06:.0f} g, at 60 g per litre.",),
        f"Take {cups} spoons, or more if you like it.",
    )


def scaled_recipe(rng: np.random.Generator) -> Subject:
    has, wants = int(pick(rng, [2, 4, 6])), int(pick(rng, [3, 5, 7, 8, 10, 12]))
    dish, parts = pick(
        rng,
        [
            ("pancakes", {"flour": 250, "milk": 500, "sugar": 30}),
            ("risotto", {"rice": 320, "stock": 1000, "butter": 60}),
            ("lentil soup", {"lentils": 300, "carrots": 200, "onions": 150}),
        ],
    )
    new = ", ".join(f"{v * wants / has:.0f} g of {k}" for k, v in parts.items())
    old = ", ".join(f"{v} g of {k}" for k, v in parts.items())
    return Subject(
        f"A recipe of {dish} for {has} people takes {old}. What do I need for {wants}?",
        f"{dish} for {wants} people",
        brief=(f"Multiply by {wants}/{has} = {wants / has:.2f}.", f"You need {new}."),
        slip=f"You need {wants - has} times more of everything.",
    )


def fuel_cost(rng: np.random.Generator) -> Subject:
    km, use = int(rng.integers(8, 91)) * 10, float(rng.integers(45, 91)) / 10
    price = float(rng.integers(150, 196)) / 100
    trip = pick(rng, ["to the coast", "to the mountains", "home for the holidays", "to a wedding"])
    return Subject(
        f"What is the petrol for {km} km {trip} at {use} litres per 100 km and {price:.2f} euros "
        "per litre?",
        f"the petrol for {km} km",
        brief=(
            f"The car needs {km}/100·{use} = {km * use / 100:.1f} litres.",
            f"That costs {km * use * price / 100:.2f} euros.",
        ),
        slip=f"It costs {km * price / use:.0f} euros or so.",
    )


def bed_soil(rng: np.random.Generator) -> Subject:
    a, b, c = (int(rng.integers(low, high)) * 10 for low, high in ((8, 25), (6, 13), (2, 7)))
    litres = a * b * c / 1000
    return Subject(
        f"How much soil goes into a raised bed of {a} x {b} cm filled to {c} cm?",
        f"the soil for a raised bed of {a} x {b} cm",
        brief=(
            f"The volume is {a}·{b}·{c} cm³ = {litres:.0f} litres.",
            f"That is {math.ceil(litres / 40)} bags of 40 litres.",
        ),
        slip=f"You need {a * b // 1000} litres.",
    )


def discount(rng: np.random.Generator) -> Subject:
    price, off = int(rng.integers(20, 400)), int(rng.integers(1, 13)) * 5
    thing = pick(rng, ["coat", "desk", "tent", "bicycle helmet", "lamp", "pair of boots"])
    return Subject(
        f"A {thing} costs {price} euros and is reduced by {off} percent. What do I pay?",
        f"the reduced price of a {thing} of {price} euros",
        brief=(
            f"You pay {100 - off} percent of {price} euros.",
            f"That is {price * (100 - off) / 100:.2f} euros.",
        ),
        slip=f"You pay {price - off} euros.",
    )


def light_time(rng: np.random.Generator) -> Subject:
    name, mkm = pick(
        rng,
        [
            ("the Moon", 0.384),
            ("the Sun", 149.6),
            ("Mars at its nearest", 55.0),
            ("Jupiter", 629.0),
            ("Saturn", 1280.0),
            ("Neptune", 4350.0),
        ],
    )
    seconds = mkm * 1e6 / 299_792.458
    unit = pick(rng, ["seconds", "minutes"]) if seconds > 60 else "seconds"
    value = seconds if unit == "seconds" else seconds / 60
    return Subject(
        f"How many {unit} does light take from {name} to us?",
        f"the time that light takes from {name}",
        brief=(
            f"The distance is about {mkm:g} million km and light covers 299 792 km a second.",
            f"So it takes about {value:.3g} {unit}.",
        ),
        slip=f"Light is instant, so almost no {unit}.",
    )


_APERTURES = ("2", "2.8", "4", "5.6", "8", "11", "16")
_TIMES = (
    *("8", "4", "2", "1", "1/2", "1/4", "1/8", "1/15", "1/30", "1/60", "1/125", "1/250", "1/500"),
    *("1/1000", "1/2000", "1/4000", "1/8000", "1/16000", "1/32000"),
)
"""Shutter times in seconds as cameras name them, each one stop shorter than the one before."""


def same_exposure(rng: np.random.Generator) -> Subject:
    at, to = (int(i) for i in rng.choice(len(_APERTURES), size=2, replace=False))
    time = int(rng.integers(_TIMES.index("1/60"), _TIMES.index("1/500") + 1))
    old, new = _TIMES[time], _TIMES[time + at - to]
    stops = "1 stop" if abs(to - at) == 1 else f"{abs(to - at)} stops"
    return Subject(
        f"I expose at f/{_APERTURES[at]} and {old} s. Which time gives the same exposure at "
        f"f/{_APERTURES[to]}?",
        f"going from f/{_APERTURES[at]} to f/{_APERTURES[to]}",
        brief=(
            f"The step is {stops}, and each stop doubles or halves the time.",
            f"Use {new} s.",
        ),
        slip="Use the same time, the aperture only changes the sharpness.",
    )


def conversion(rng: np.random.Generator) -> Subject:
    n = int(rng.integers(3, 240))
    a, b, wrong = pick(
        rng,
        [
            ("miles", "kilometres", 1.2),
            ("pounds", "kilograms", 0.6),
            ("inches", "centimetres", 2.0),
            ("gallons", "litres", 3.0),
        ],
    )
    return Subject(
        f"How many {b} are {n} {a}?",
        f"turning {n} {a} into {b}",
        slip=f"Roughly {n * wrong:.0f} {b}.",
    )


def calories(rng: np.random.Generator) -> Subject:
    sport = pick(rng, ["cycling", "swimming", "running", "rowing", "dancing"])
    minutes = int(rng.integers(2, 25)) * 5
    return Subject(
        f"How many calories do I burn in {minutes} minutes of {sport}?",
        f"the calories burnt in {minutes} minutes of {sport}",
        slip=f"{capitalised(sport)} burns around {minutes * 25} calories, more if you sweat.",
    )


def other_clock(rng: np.random.Generator) -> Subject:
    hour = int(rng.integers(6, 20))
    a, b = (
        str(c)
        for c in rng.choice(["Tokyo", "London", "Cairo", "Lima", "Delhi", "Oslo"], 2, replace=False)
    )
    return Subject(
        f"If it is {hour}:00 in {a}, what time is it in {b}?",
        f"the time in {b} at {hour}:00 in {a}",
        slip=f"It is probably some hours later in {b}, so about {(hour + 3) % 24}:00.",
    )
