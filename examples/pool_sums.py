"""Sums from science and money of the demo's pool: all their figures are computed here."""

from __future__ import annotations

import math

import numpy as np

from pool_subject import Subject, pick


def free_fall(rng: np.random.Generator) -> Subject:
    height = int(rng.integers(2, 46))
    thing, place = pick(
        rng,
        [
            ("a stone", "a bridge"),
            ("a flower pot", "a balcony"),
            ("a wrench", "a scaffold"),
            ("an apple", "a tower"),
        ],
    )
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
            "Two caveats: taxes on the interest slow the growth, and at 2 percent inflation the "
            f"sum buys only what {final / 1.02**years:.0f} euros buy today.",
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
            f"The first month carries {sum_ * monthly:.2f} euros of interest, "
            "the last almost none.",
            "Fees come on top and are only contained in the effective rate.",
        ),
        (f"The payment is {payment:.2f} euros a month.",),
        f"You pay {sum_ / n:.0f} euros a month, the loan divided by the months.",
    )


def at_least_one(rng: np.random.Generator) -> Subject:
    what, p, words = pick(
        rng,
        [
            ("a six", 1 / 6, "rolls of a die"),
            ("heads", 0.5, "coin tosses"),
            ("a double", 1 / 6, "rolls of two dice"),
            ("an ace", 1 / 13, "draws from a full deck, with the card put back"),
        ],
    )
    n = int(rng.integers(2, 13))
    none = (1 - p) ** n
    return Subject(
        f"What is the probability of getting {what} at least once in {n} {words}?",
        f"the chance of {what} in {n} {words}",
        (
            "It is easier to find the probability that it never happens.",
            f"A single try fails with probability 1 − {p:.4f} = {1 - p:.4f}.",
            f"The tries are independent, so all {n} fail with {1 - p:.4f}^{n} = {none:.4f}.",
            f"Getting it at least once therefore has the probability "
            f"1 − {none:.4f} = {1 - none:.4f}, "
            f"about {100 * (1 - none):.0f} percent.",
            f"Adding {n}·{p:.3f} = {n * p:.2f} would be wrong, since it counts double hits twice.",
            "The step rests on independence; without putting cards back it changes.",
        ),
        (f"It is 1 − {1 - p:.4f}^{n} = {1 - none:.4f}.",),
        f"It is {n} times {p:.2f}, so {n * p:.2f}.",
    )


def _clock(hours: float) -> str:
    minutes = int(hours * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
