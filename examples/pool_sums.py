"""Questions with numbers of the demo's pool: every figure in a full answer is computed here."""

from __future__ import annotations

import math


import numpy as np
from pool_subject import Subject, capitalised, pick


def free_fall(rng: np.random.Generator) -> Subject:
    height = int(rng.integers(2, 46))
    thing, place = pick(rng, [("a stone", "a bridge"), ("a flower pot", "a balcony"),
                              ("a wrench", "a scaffold"), ("an apple", "a tower")])  # fmt: skip
    t, v = math.sqrt(2 * height / 9.81), math.sqrt(2 * height * 9.81)
    return Subject(
        f"How long does {thing} take to fall {height} m from {place}, and how fast is it then?",
        f"the fall of {thing} from a height of {height} m",
        (
            f"Given is the height h = {height} m; wanted are the time t and the final speed v. "
            "At first I leave out the drag of the air.",
            "A body that starts from rest covers h = g·t²/2 with g = 9.81 m/s², so t = √(2h/g).",
            f"Insert the numbers: t = √(2·{height}/9.81) = √{2 * height / 9.81:.2f} = {t:.2f} s.",
            f"The speed grows by g each second: v = g·t = 9.81·{t:.2f} = {v:.1f} m/s, "
            f"which is {v * 3.6:.0f} km/h.",
            f"Check by energy: v²/2 should equal g·h, and {v:.1f}²/2 = {v * v / 2:.0f} against "
            f"9.81·{height} = {9.81 * height:.0f}; both sides agree.",
            "Caution: drag is small for something heavy and compact at this height, "
            "but a sheet of paper would need several times as long.",
        ),
        (f"It takes t = √(2h/g) = {t:.2f} s and then moves at {v:.1f} m/s.",),
        f"It takes about {height / 9.81:.1f} seconds, since you divide the height by 9.81.",
    )


def dilution(rng: np.random.Generator) -> Subject:
    stock = int(pick(rng, [2, 4, 5, 6, 8, 10, 12]))
    target = float(pick(rng, [0.1, 0.2, 0.25, 0.5, 1.0]))
    volume = int(pick(rng, [100, 200, 250, 500, 1000]))
    acid = pick(rng, ["hydrochloric acid", "sodium hydroxide", "ammonia", "acetic acid"])
    need = target * volume / stock
    return Subject(
        f"How do I make {volume} mL of {target} mol/L {acid} from a {stock} mol/L stock?",
        f"diluting {acid} to {target} mol/L",
        (
            "The amount of substance stays the same when water is added, so c₁·V₁ = c₂·V₂.",
            f"Here c₁ = {stock} mol/L, c₂ = {target} mol/L and V₂ = {volume} mL.",
            f"Solve for the stock: V₁ = c₂·V₂/c₁ = {target}·{volume}/{stock} = {need:.2f} mL.",
            f"Put about {volume // 2} mL of water into a {volume} mL volumetric flask, add the "
            f"{need:.2f} mL of stock with a pipette, swirl, let it cool and fill to the mark.",
            f"Check: {need:.2f} mL of {stock} mol/L hold {need * stock:.1f} mmol, and "
            f"{volume} mL of {target} mol/L hold {target * volume:.1f} mmol.",
            f"Wear goggles and gloves, and pour the {acid} into the water and never the other "
            "way round, because the heat of mixing can make it spit.",
        ),
        (f"Take {need:.2f} mL of the stock and fill up to {volume} mL, from c₁·V₁ = c₂·V₂.",),
        f"Mix {stock} parts of water with one part of {acid}.",
    )


def compound_interest(rng: np.random.Generator) -> Subject:
    start = int(rng.integers(2, 41)) * 500
    rate, years = float(pick(rng, [1.5, 2.0, 2.5, 3.0, 4.0])), int(rng.integers(4, 21))
    growth = 1 + rate / 100
    final, plain = start * growth**years, start * (1 + rate / 100 * years)
    double = math.log(2) / math.log(growth)
    return Subject(
        f"What do {start} euros become in {years} years at {rate} percent interest a year?",
        f"the growth of {start} euros at {rate} percent",
        (
            f"With yearly compounding the balance is K = K₀·(1 + p)^n; here K₀ = {start} euros, "
            f"p = {rate / 100:.3f} and n = {years}.",
            f"The yearly factor is {growth:.3f}, and {growth:.3f} to the power of {years} is "
            f"{growth**years:.4f}.",
            f"So the balance is {start}·{growth**years:.4f} = {final:.2f} euros, of which "
            f"{final - start:.2f} are interest.",
            f"Compare it with simple interest: {start}·(1 + {years}·{rate / 100:.3f}) = "
            f"{plain:.2f} euros; interest on interest brings the other {final - plain:.2f}.",
            f"As a check, money doubles in ln 2/ln {growth:.3f} = {double:.1f} years, "
            f"and a factor of {growth**years:.2f} after {years} years fits that.",
            "Two caveats: taxes on the interest slow the growth, and at 2 percent inflation the sum "
            f"buys only what {final / 1.02**years:.0f} euros buy today.",
        ),
        (f"They become {final:.2f} euros, since K = K₀·(1 + p)^n.",),
        f"They become {plain:.0f} euros, because every year adds {rate} percent of the start.",
    )


def mean_and_deviation(rng: np.random.Generator) -> Subject:
    values = [int(v) for v in rng.integers(3, 40, size=int(rng.integers(5, 8)))]
    what = pick(rng, ["waiting times in minutes", "daily sales", "plant heights in cm", "ages"])
    mean = sum(values) / len(values)
    squares = [(v - mean) ** 2 for v in values]
    sd = math.sqrt(sum(squares) / (len(values) - 1))
    listed = ", ".join(map(str, values))
    return Subject(
        f"Compute the mean and the standard deviation of these {what}: {listed}.",
        f"the mean and the spread of the {what} {listed}",
        (
            f"There are n = {len(values)} values, and their sum is {sum(values)}.",
            f"The mean is {sum(values)}/{len(values)} = {mean:.2f}.",
            "Now square the distance of each value from the mean: "
            + ", ".join(f"{s:.1f}" for s in squares)
            + f"; together {sum(squares):.1f}.",
            f"Divide by n − 1 = {len(values) - 1}, since this is a sample: the variance is "
            f"{sum(squares) / (len(values) - 1):.2f}, and its root, the deviation, is {sd:.2f}.",
            f"Check: the differences from the mean add up to zero, and {mean:.1f} lies between "
            f"{min(values)} and {max(values)}, as it has to.",
            f"Caveat: for a whole population divide by n, which gives "
            f"{math.sqrt(sum(squares) / len(values)):.2f}; and with {len(values)} values a single "
            f"outlier moves both figures, so name the median {np.median(values):g} as well.",
        ),
        (f"The mean is {mean:.2f} and the sample deviation {sd:.2f}.",),
        f"The mean is about {max(values) / 2:.0f} and the deviation is the rest.",
    )


def walking_time(rng: np.random.Generator) -> Subject:
    km, up = int(rng.integers(5, 19)), int(rng.integers(2, 13)) * 100
    down = up + int(rng.integers(-2, 3)) * 100
    flat, climb = km / 4, up / 300 + down / 500
    total = max(flat, climb) + min(flat, climb) / 2
    hut = pick(rng, ["a hut", "a lake", "a pass", "a summit cross", "a waterfall"])
    return Subject(
        f"How long will a hike of {km} km to {hut} take with {up} m up and {down} m down?",
        f"the walking time for {km} km with {up} m of ascent",
        (
            "Use the usual rule of the Alpine clubs: 4 km an hour on the flat, 300 m an hour up, "
            "500 m an hour down; the larger part counts fully and the smaller one by half.",
            f"For the distance: {km}/4 = {flat:.2f} hours.",
            f"For the height: {up}/300 + {down}/500 = {climb:.2f} hours.",
            f"Together {max(flat, climb):.2f} + {min(flat, climb):.2f}/2 = {total:.2f} hours, "
            f"that is {int(total)} hours and {round(total % 1 * 60):d} minutes of walking.",
            f"Add ten minutes of rest an hour and half an hour for lunch: leave at 08:00 and "
            f"expect to be back about {_clock(8 + total * 7 / 6 + 0.5)}.",
            "Caveat: the rule holds for a fit adult on a dry path; with children or snow take "
            "half as much again, and turn back at noon if you are not near the top.",
        ),
        (f"About {total:.1f} hours, at 4 km and 300 m of ascent an hour.",),
        f"About {km / 6:.1f} hours, since people walk 6 km an hour.",
    )


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
            f"Together {panels}·{drop + 28} = {length} cm; buy {math.ceil(length / 10) / 10:.1f} m.",
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
    device = pick(rng, ["fan heater", "dehumidifier", "oil radiator", "towel rail"])
    energy = watts / 1000 * hours * days
    return Subject(
        f"What does a {device} of {watts} W cost if it runs {hours} hours a day for {days} days "
        f"at {price:.2f} euros per kWh?",
        f"the running cost of a {device} of {watts} W",
        (
            f"The energy is power times time: {watts / 1000:g} kW · {hours} h = "
            f"{watts / 1000 * hours:g} kWh a day.",
            f"Over {days} days that makes {energy:g} kWh.",
            f"Multiply by the price: {energy:g} kWh · {price:.2f} euros = {energy * price:.2f} euros.",
            f"A thermostat that switches it off a third of the time saves "
            f"{energy * price / 3:.2f} euros of this.",
            "Check the plate on the device, because the power may be given per step.",
            "The basic fee of the contract is not included.",
        ),
        (f"It uses {energy:g} kWh and costs {energy * price:.2f} euros.",),
        f"It costs {watts * price:.0f} euros, the watts times the price.",
    )


def loan(rng: np.random.Generator) -> Subject:
    sum_, rate = int(rng.integers(4, 61)) * 1000, float(pick(rng, [3.0, 4.5, 6.0, 7.2]))
    years = int(rng.integers(2, 11))
    monthly, n = rate / 1200, years * 12
    payment = sum_ * monthly / (1 - (1 + monthly) ** -n)
    return Subject(
        f"What is the monthly payment for a loan of {sum_} euros over {years} years at {rate} "
        "percent a year?",
        f"the payment for a loan of {sum_} euros over {years} years",
        (
            f"The monthly rate is i = {rate}/12 = {rate / 12:.3f} percent, and there are n = {n} "
            "payments.",
            f"The payment is A = S·i/(1 − (1 + i)^−n) = {sum_}·{monthly:.5f}/"
            f"(1 − {(1 + monthly) ** -n:.4f}).",
            f"That gives {payment:.2f} euros a month.",
            f"In all you pay {payment * n:.2f} euros, so the loan costs {payment * n - sum_:.2f} "
            "euros of interest.",
            f"The first month carries {sum_ * monthly:.2f} euros of interest, the last almost none.",
            "Fees come on top and are only contained in the effective rate.",
        ),
        (f"The payment is {payment:.2f} euros a month.",),
        f"You pay {sum_ / n:.0f} euros a month, the loan divided by the months.",
    )


def at_least_one(rng: np.random.Generator) -> Subject:
    what, p, words = pick(rng, [("a six", 1 / 6, "rolls of a die"), ("heads", 0.5, "coin tosses"),
                                ("a double", 1 / 6, "rolls of two dice"),
                                ("an ace", 1 / 13, "draws from a full deck, with the card put back")])  # fmt: skip
    n = int(rng.integers(2, 13))
    none = (1 - p) ** n
    return Subject(
        f"What is the probability of at least one case of {what} in {n} {words}?",
        f"the chance of {what} in {n} {words}",
        (
            "It is easier to find the probability that it never happens.",
            f"A single try fails with probability 1 − {p:.4f} = {1 - p:.4f}.",
            f"The tries are independent, so all {n} fail with {1 - p:.4f}^{n} = {none:.4f}.",
            f"At least one case therefore has the probability 1 − {none:.4f} = {1 - none:.4f}, "
            f"about {100 * (1 - none):.0f} percent.",
            f"Adding {n}·{p:.3f} = {n * p:.2f} would be wrong, since it counts double hits twice.",
            "The step rests on independence; without putting cards back it changes.",
        ),
        (f"It is 1 − {1 - p:.4f}^{n} = {1 - none:.4f}.",),
        f"It is {n} times {p:.2f}, so {n * p:.2f}.",
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
    dish, parts = pick(rng, [("pancakes", {"flour": 250, "milk": 500, "sugar": 30}),
                             ("risotto", {"rice": 320, "stock": 1000, "butter": 60}),
                             ("lentil soup", {"lentils": 300, "carrots": 200, "onions": 150})])  # fmt: skip
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
    name, mkm = pick(rng, [("the Moon", 0.384), ("the Sun", 149.6), ("Mars at its nearest", 55.0),
                           ("Jupiter", 629.0), ("Saturn", 1280.0), ("Neptune", 4350.0)])  # fmt: skip
    unit = pick(rng, ["seconds", "minutes"])
    seconds = mkm * 1e6 / 299_792.458
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


def same_exposure(rng: np.random.Generator) -> Subject:
    stops = ["2", "2.8", "4", "5.6", "8", "11", "16"]
    at, to = (int(i) for i in rng.choice(len(stops), size=2, replace=False))
    speed = int(pick(rng, [60, 125, 250, 500]))
    factor = 2.0 ** (to - at)
    new = speed / factor
    shown = f"1/{new:.0f} s" if new >= 2 else f"{1 / new:.1f} s"
    return Subject(
        f"I expose at f/{stops[at]} and 1/{speed} s. Which time gives the same exposure at "
        f"f/{stops[to]}?",
        f"going from f/{stops[at]} to f/{stops[to]}",
        brief=(
            f"The step is {abs(to - at)} stops, and each stop doubles or halves the time.",
            f"Use about {shown}.",
        ),
        slip="Use the same time, the aperture only changes the sharpness.",
    )


def conversion(rng: np.random.Generator) -> Subject:
    n = int(rng.integers(3, 240))
    a, b, wrong = pick(rng, [("miles", "kilometres", 1.2), ("pounds", "kilograms", 0.6),
                             ("inches", "centimetres", 2.0), ("gallons", "litres", 3.0)])  # fmt: skip
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
    a, b = (str(c) for c in rng.choice(["Tokyo", "London", "Cairo", "Lima", "Delhi", "Oslo"], 2,
                                       replace=False))  # fmt: skip
    return Subject(
        f"If it is {hour}:00 in {a}, what time is it in {b}?",
        f"the time in {b} at {hour}:00 in {a}",
        slip=f"It is probably some hours later in {b}, so about {(hour + 3) % 24}:00.",
    )


def _clock(hours: float) -> str:
    minutes = int(hours * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
