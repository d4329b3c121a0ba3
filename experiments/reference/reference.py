"""Reference implementation of regauge's matching and trace in NumPy: the definition, not the fast way.

Everything starts from integers (quantise, Sums), so shards merge in any order; then float64, where the command has
float32.  A score matrix is indexed [target channel, source channel], as in core/src; an answer is (perm, sign),
y[i] = sign[i] * x[perm[i]].  What is a choice has its name, unit and origin in core/src/match/policy.hpp and
calibration.hpp and is read from there (P, CONFIDENCE).  Only signed permutations, and rows and gains, not weights.
"""
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.linalg import hadamard
from scipy.optimize import linear_sum_assignment


def constants(header):
    """{name: value} of the constants that a header of core/src/match names."""
    text = (Path(__file__).resolve().parents[2] / "core/src/match" / header).read_text()
    text = re.sub(r"//.*", "", text)
    return {name: float(eval(value.replace("F", ""), {"__builtins__": {}}))
            for name, value in re.findall(r"(\w+) = ([-+*/().\d\se<F]+)[,;]", text)}


P = SimpleNamespace(**constants("policy.hpp"))
CONFIDENCE = np.array(list(constants("calibration.hpp").values()))    # in the order of `features`

FINE, COARSE = 511, 63    # 10 bits: fewer lose what lies below their rounding noise (eigenvalues near 1e-4)
FIT_ROWS = 2048       # rows the quantiser is fitted on, at even distances
MASSIVE = 8.0         # a row is massive from so many upper quartiles of the norms, or above a gap (`row_limit`)
GAP, ABOVE_MEDIANS, ONE_WAY = 2.0, 4.0, 0.7
MASSIVE_BITS = 20     # massive rows are summed in steps of their limit / 2^20
BLOCK = 32            # rows that stay in one half
# Inverse square root as a sum of shifted inverses (shift, weight), from the weakest whitening to the strongest: 4.4 %
# relative error on [1e-4, 100], ~1/w above.  RIDGE is that of the quick look.
POLES = ((63.4, 13.44), (0.786, 1.168), (0.0127, 0.1486), (1.6e-4, 0.0212))
RIDGE = ((0.786, 1.0),)
SURE_MARGIN, SURE_ADVANTAGE, SURE_AGREEMENT = 2.0, 2.0, 0.98    # scores/block.hpp
SMALLEST_SPREAD = 1e-6
RESIDUAL_RIDGE, STRONGEST = 1e-4, 0.999    # numeric/residual.cpp


# ------------------------------------------------------------------------------------------------ sums

def norms_of(x):
    return np.sqrt((x.astype(np.float64) ** 2).sum(1))


def row_limit(x, norms):
    """The norm above which rows are massive: MASSIVE upper quartiles, or the middle of a gap in the upper half above
    which rows point one way (core/src/correlation/quantizer.cpp)."""
    s = np.sort(norms[norms > 0])
    if not len(s):
        return 0.0
    limit, widest, above = MASSIVE * s[len(s) * 3 // 4], GAP, 0
    for k in range((len(s) + 1) // 2, len(s)):
        if s[k] >= widest * s[k - 1]:
            widest, above = s[k] / s[k - 1], k
    if above == 0 or s[above] < ABOVE_MEDIANS * s[above // 2]:
        return limit
    middle = np.sqrt(s[above] * s[above - 1])
    if middle >= limit:
        return limit
    far = norms > middle
    direction = (x[far] / norms[far][:, None]).sum(0)
    return middle if np.sqrt((direction ** 2).sum()) >= ONE_WAY * far.sum() else limit


def quantiser(x, most):
    """Centre and power-of-two step per channel (0 marks a constant), and the norm above which rows are massive."""
    count = min(len(x), FIT_ROWS)
    x = x[np.arange(count) * len(x) // count].astype(np.float64)
    norms = norms_of(x)
    limit = row_limit(x, norms)
    kept = x[norms <= limit]
    live = kept.min(0) < kept.max(0)
    fraction, exponent = np.frexp(4 * kept.std(0) / most)
    step = np.where(live, np.exp2(np.clip(exponent - (fraction == 0.5), -126, 126)), 0)
    return np.where(live, kept.mean(0), 0).astype(np.float32), step.astype(np.float32), limit


def quantise(x, fit, most):
    """Integers in [-most, most] (the clamp lies between 4 and 8 sd); in float32, as the command does."""
    centre, step, _ = fit
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    return np.rint(np.clip((x - centre) * inverse, -most, most)).astype(np.float64)


class Sums:
    """Additive integer sums over paired rows: both Gram matrices once, the cross products for each half, and the
    massive rows apart from the rest."""

    def __init__(self, x, y, most=FINE):
        x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        fits = quantiser(x, most), quantiser(y, most)
        qx, qy = quantise(x, fits[0], most), quantise(y, fits[1], most)
        massive = (norms_of(x) > fits[0][2]) | (norms_of(y) > fits[1][2])
        half = (np.arange(len(x)) // BLOCK) % 2
        self.n, self.sx, self.sy, self.sxy = [], [], [], []
        for h in (0, 1):
            a, b = qx[~massive & (half == h)], qy[~massive & (half == h)]
            self.n.append(len(a)); self.sx.append(a.sum(0)); self.sy.append(b.sum(0)); self.sxy.append(b.T @ a)
        self.sxx, self.syy = qx[~massive].T @ qx[~massive], qy[~massive].T @ qy[~massive]
        self.rows, self.set_aside = sum(self.n), int(massive.sum())
        self.massive = [np.rint(z[massive].astype(np.float64) * 2.0 ** (MASSIVE_BITS - exponent_of(fit[2]))).sum(0)
                        for z, fit in zip((x, y), fits)]

    def correlations(self):
        """C0, C1 (they add up to C), Gx, Gy, and which channels are constant. These have no correlations but 1 with
        themselves."""
        n, sx, sy = self.rows, sum(self.sx), sum(self.sy)
        vx, vy = n * np.diag(self.sxx) - sx * sx, n * np.diag(self.syy) - sy * sy
        ix = np.divide(1, np.sqrt(vx), out=np.zeros_like(vx), where=vx > 0)
        iy = np.divide(1, np.sqrt(vy), out=np.zeros_like(vy), where=vy > 0)
        gx = (n * self.sxx - np.outer(sx, sx)) * np.outer(ix, ix)
        gy = (n * self.syy - np.outer(sy, sy)) * np.outer(iy, iy)
        np.fill_diagonal(gx, 1), np.fill_diagonal(gy, 1)
        halves = []
        for h in (0, 1):   # centred by the mean of all rows, so that the halves add up exactly
            c = (n * self.sxy[h] - np.outer(self.sy[h], sx) - np.outer(sy, self.sx[h])
                 + self.n[h] / n * np.outer(sy, sx))
            halves.append(c * np.outer(iy, ix))
        return SimpleNamespace(cross=halves, gx=gx, gy=gy, constant=(vx <= 0, vy <= 0))


def exponent_of(limit):
    return int(np.clip(np.frexp(limit)[1] - 1, -126, 126)) if limit > 0 else 0


# ------------------------------------------------------------------------------------------------ statistic

def whitener(g, poles):
    """A = sum c_k (G + s_k)^-1 over the poles, and 1 / sqrt of the diagonal of A G A, without a product."""
    inverse = [np.linalg.inv(g + s * np.eye(len(g))) for s, _ in poles]
    a = sum(c * m for (_, c), m in zip(poles, inverse))
    diagonal, variance = [np.diag(m) for m in inverse], np.zeros(len(g))
    for k, (sk, ck) in enumerate(poles):    # H_k G H_l = H_k - s_l H_k H_l ; H_k H_l = (H_k - H_l) / (s_l - s_k)
        for l, (sl, cl) in enumerate(poles):
            both = (inverse[k] ** 2).sum(1) if k == l else (diagonal[k] - diagonal[l]) / (sl - sk)
            variance += ck * cl * (diagonal[k] - sl * both)
    return a, np.divide(1, np.sqrt(np.maximum(variance, 0)), out=np.zeros(len(g)), where=variance > 0)


def rounded(m, limit):
    """Columns as integers of at most so many steps, and the steps."""
    m = m.astype(np.float32)
    most = np.abs(m).max(0)
    inverse = np.divide(limit, most, out=np.zeros_like(most), where=most >= 1e-30)
    return np.rint(np.clip(m * inverse, -limit, limit)).astype(np.float64), np.where(most >= 1e-30, most / limit, 0)


def rounded_product(a, symmetric):
    """a^T symmetric, in eight and seven bits but for the diagonal of the latter."""
    diagonal = np.diag(symmetric)
    (qa, sa), (qm, sm) = rounded(a, 127), rounded(symmetric - np.diag(diagonal), COARSE)
    return qa.T @ qm * np.outer(sa, sm) + a.T * diagonal


def whitened(cross, x, y, coarse):
    """Y C X of both halves, scaled to unit variance."""
    (a, na), (b, nb) = x, y
    product = (lambda c: rounded_product(rounded_product(c, b), a)) if coarse else (lambda c: b @ c @ a)
    return [np.clip(product(c) * np.outer(nb, na), -1, 1) for c in cross]


# ------------------------------------------------------------------------------------------------ matching

def solve(w, signed=True):
    """The exact assignment of scores cut to integers (core/src/scores/score_matrix.cpp): the sum of |w| is largest and
    the sign that of w, or the sum of w."""
    d = len(w)
    unit = 2.0 ** (25 - max(int(np.frexp(max(1.0, np.abs(w).max()))[1]), 1))
    target, source = linear_sum_assignment(-np.trunc((np.abs(w) if signed else w) * unit))
    return source, np.sign(w[target, source]).astype(int) if signed else np.ones(d, int)


def same(a, b):
    return (a[0] == b[0]) & (a[1] == b[1])


def matched(w, answer):
    return w[np.arange(len(w)), answer[0]]


def root_mean_square(squares, of_matched, d):
    return max(np.sqrt(max(squares - of_matched, 0) / (d * (d - 1))), SMALLEST_SPREAD)


def spread(w, answer):
    """Root mean square of the entries that are not matched."""
    return root_mean_square((w * w).sum(), (matched(w, answer) ** 2).sum(), len(w))


def advantage(w0, w1):
    """How far a line's winner in one half beats its runner-up in the other half, in spreads; both ways, both axes.

    Near 0 (at most about 0.4) when the best pair is only the largest of many, however reproducible; that is what
    agreement of halves cannot see.  This is what chooses and weighs blocks.
    """
    parts = []
    for u, v in ((w0, w1), (w1, w0), (w0.T, w1.T), (w1.T, w0.T)):
        j, size = np.arange(len(u)), np.abs(u)
        first = size.argmax(0)
        size[first, j] = -1
        second = size.argmax(0)
        sign = lambda at: np.where(u[at, j] < 0, -1, 1)
        gain = sign(first) * v[first, j] - sign(second) * v[second, j]
        parts.append(gain.mean() / root_mean_square((v * v).sum(), (v[first, j] ** 2).sum(), len(v)))
    return float(np.mean(parts))


def margins(w, answer):
    """Signed matched score, and the best alternative in its row or column, in spreads."""
    unit, size, i = spread(w, answer), np.abs(w), np.arange(len(w))
    size[i, answer[0]] = 0
    return answer[1] * matched(w, answer) / unit, np.maximum(size.max(1), size.max(0)[answer[0]]) / unit


class Block:
    """One statistic of one site, or several fused: solved, as a whole and by halves (core/src/scores/block.hpp)."""

    def __init__(self, halves):
        self.halves, self.whole = halves, halves[0] + halves[1]
        self.advantage = advantage(*halves)
        self.answer, self.of_half = solve(self.whole), [solve(h) for h in halves]
        self.unit, self.scale = spread(self.whole, self.answer), 1.0    # scale: what a similarity of 1 adds up to
        self.margins = margins(self.whole, self.answer)
        self.agreement = same(*self.of_half).mean()
        self.weight = max(self.advantage, 0.0) ** 2
        self.sure = (self.advantage >= SURE_ADVANTAGE and np.subtract(*self.margins).mean() >= SURE_MARGIN
                     and self.agreement >= SURE_AGREEMENT)


def fuse(blocks):
    """Sum of blocks, each divided by its spread and weighted by its squared advantage; before absolute values."""
    useful = [b for b in blocks if b.weight > 0] or [max(blocks, key=lambda b: b.advantage)]
    if len(useful) == 1:
        return useful[0]
    fused = Block([sum(b.weight / b.unit * b.halves[k] for b in useful) for k in (0, 1)])
    fused.scale = sum(b.weight / b.unit for b in useful)
    return fused


# ------------------------------------------------------------------------------------------------ second order

def off_diagonal(a, constant):
    """What a gauge must carry from one side to the other: an inverse root of G without its diagonal, in even sizes."""
    m = a.copy()
    m[constant] = 0; m[:, constant] = 0
    np.fill_diagonal(m, 0)
    size = np.sqrt((m * m).sum(0))
    size[size == 0] = 1
    return m / np.sqrt(np.outer(size, size))


def refine(z, answer, structures):
    """Seeded graph matching: add to the scores z how well a pair (i, j) fits the present answer on the other channels,

        T[i, j] = sum_k My[i, k] sign k weight k Mx[perm k, j],

    with Mx, My the structures of both sides.  T leaves the pair itself out (zero diagonals).  Answers cycle at the end;
    the first repeated one is returned.  Returns answer, z and T together, T (None where there was nothing to fit).
    """
    combined, fitted, seen = z, None, set()
    for round_ in range(int(P.refineRounds)):
        perm, sign = answer
        m = np.subtract(*margins(combined, answer))
        weight = 0.5 * (1 + m / np.sqrt(1 + m * m))
        t = np.zeros_like(z)
        for mx, my in structures:
            one = my @ ((sign * weight)[:, None] * mx[perm])
            one = one / spread(one, answer)
            t = t + max(0.0, (weight * sign * matched(one, answer)).sum() / weight.sum()) * one
        if not t.any():
            break
        fitted = t / spread(t, answer)
        combined = z + min(1.0, (round_ + 1) / P.refineRamp) * fitted
        answer = solve(combined)
        key = (answer[0] * 2 + (answer[1] > 0)).tobytes()
        if key in seen:
            break
        seen.add(key)
    return answer, combined, fitted


# ------------------------------------------------------------------------------------------------ gains

STRENGTHS = np.array([k / 4 for k in range(32)] + list(range(8, 40)), float)    # core/src/match/posterior.cpp
BIN, BINS, MOST_EXPONENT = 0.05, 1800, 300    # scores from -45 to 45 spreads


def match_gains(gx, gy):
    """What gain vectors {name: values} of both sides say on their own, or None (core/src/match/gain_scores.cpp)."""
    halves, vectors = [0.0, 0.0], 0
    for name in gx:     # in the order of the source
        if name not in gy:
            continue
        u, v = (np.asarray(g[name], np.float64) for g in (gx, gy))
        if u.std() < P.constantGains or v.std() < P.constantGains:
            continue
        u, v = (u - u.mean()) / u.std(), (v - v.mean()) / v.std()
        halves[vectors % 2] = halves[vectors % 2] - np.minimum((v[:, None] - u) ** 2, P.farthestGains)
        vectors += 1
    if vectors == 0:
        return None
    scores = halves[0] + halves[1]
    perm, _ = solve(scores, signed=False)
    i = np.arange(len(perm))
    variance = max(-scores[i, perm].sum() / (len(perm) * vectors), P.leastGainVariance)
    likely = np.exp((scores - scores.max(1, keepdims=True)) / (2 * variance))
    likely = likely / likely.sum(1, keepdims=True)
    agreed = (solve(halves[0], False)[0] == solve(halves[1], False)[0]).mean() if vectors > 1 else 0.0
    most = 1 - (1 - np.sqrt(agreed)) ** 2    # what the halves bear out
    borne_out = min(1.0, most / likely[i, perm].mean())
    return SimpleNamespace(scores=scores, perm=perm, agreement=agreed, confidence=borne_out * likely[i, perm],
                           places=borne_out * likely + (1 - borne_out) / len(perm))


def add_gains(z, gains):
    of_match = gains.scores[np.arange(len(z)), gains.perm]
    bonus = np.clip(1 + (gains.scores - of_match[:, None]) / spread(gains.scores, (gains.perm, None)), 0, 1)
    return np.copysign(np.abs(z) + bonus, z)


# ------------------------------------------------------------------------------------------------ confidence

def logistic(t):
    return 1 / (1 + np.exp(-np.clip(t, -40, 40)))


def features(block, answer, largest_advantage, refined=None):
    """One row a target channel: 1; margins of the fused scores and of T; then for the pair the logarithm of the mean
    margin of both together, mean margins of the fused scores and of T, the logarithm of the largest advantage; how many
    halves give the answer here; agreement of the halves.  Where nothing was refined the fused scores stand for all."""
    fused = np.subtract(*margins(block.whole, answer))
    combined = np.subtract(*margins(refined[1], answer)) if refined else fused
    fitted = np.subtract(*margins(refined[2], answer)) if refined and refined[2] is not None else fused
    d, one = len(fused), np.ones(len(fused))
    few = (P.fewChannels * max(0.0, d ** -0.5 - P.manyChannels ** -0.5)
           * max(1.0, (P.veryFewChannels / d) ** 0.5))     # means over few channels scatter more
    level = lambda m: np.clip(m.mean() - few, P.leastMeanMargin, P.mostMeanMargin)
    log = lambda v: np.log(P.besideLogarithm + max(v, 0.0))
    channel = lambda m: np.clip(m, P.leastMargin, P.mostMargin)
    return np.stack([one, channel(fused), channel(fitted), one * log(level(combined)), one * level(fused),
                     one * level(fitted), one * log(min(largest_advantage, P.mostAdvantage)),
                     1.0 * same(block.of_half[0], answer) + same(block.of_half[1], answer), one * block.agreement], 1)


def confidence(rows, sure):
    """Probability that each target channel's partner and sign are right."""
    return logistic(P.beyondDoubt + P.beyondDoubtByMargin * rows[:, 1] if sure else rows @ CONFIDENCE)


def below_twice(most, value):
    """1 up to so many, and less and less until twice as many."""
    return float(np.clip(2 - value / most, 0, 1))


def fewness(rows, d):
    return below_twice(P.fewRows * d, rows)


def verdict_of(estimate, d, rows):
    many = P.unrelated + P.unrelatedByWidth / d
    least = many + fewness(rows, d) * below_twice(P.fittedWidth, d) * max(P.unrelatedOfFewRows - many, 0)
    return "aligned" if estimate >= P.aligned else "unrelated" if estimate < least else "partial"


# ------------------------------------------------------------------------------------------------ plain correlation

def unexplained(c, gx, gy, answer=None):
    """log2 det of what is left of the target's correlation matrix, in bits a channel, when each target channel is
    predicted from its source channel."""
    rest = gy.copy()
    if answer is not None:
        perm, sign = answer[0], np.where(answer[1] < 0, -1, 1)
        moved, g = c[:, perm] * sign, gx[np.ix_(perm, perm)] * np.outer(sign, sign)
        slope = np.clip(np.diag(moved), -STRONGEST, STRONGEST)
        rest = rest - slope * moved - (slope * moved).T + np.outer(slope, slope) * g
    positive, log = np.linalg.slogdet(rest + RESIDUAL_RIDGE * np.eye(len(gy)))
    return log / np.log(2) / len(gy) if positive > 0 else np.inf


def winning_bits(explained, estimate, d, rows):
    """By how many bits a channel plain correlation must win (core/src/match/plain.cpp)."""
    def of_many():
        if estimate >= P.allButCertain:
            return P.clearWin
        if explained >= P.explainsMuch:
            return P.asGood if estimate >= P.certain else P.aboutAsGood
        few = fewness(rows, d)
        if few < 1 and explained <= 0:
            return np.inf
        return (1 - few) * (min(P.someWin, P.togetherWin / (d * rows)) if explained >= P.explainsSome else P.someWin)

    spanned = float(np.clip(rows / d - 1, 0, 1))
    of_few = P.fewRowsLoss if explained >= explains(d) and estimate < P.certain else 0.0
    return of_few if spanned == 0 else (1 - spanned) * of_few + spanned * of_many()


def explains(d):
    return max(P.explains, P.explainsByWidth / d ** 1.5)


def is_credible(explained, halves, others, estimate, d, rows):
    if others >= P.nearlySame and estimate >= P.nearlySure and d >= P.fewestNearlySame or explained >= explains(d):
        return True
    many = float(np.clip(d / P.smallWidth - 1, 0, 1))
    between = lambda few, much: few + many * (much - few)
    less = between(1, P.explainsWithHalves)
    per_row = between(1, max(1.0, d / rows))
    if halves >= P.fewRowsHalves and many > 0 and explained * per_row >= explains(d) * (1 - fewness(rows, d) * (1 - less)):
        return True
    unanimous = d >= P.fewestNearlySame and min(halves, others) >= P.unanimous
    return (explained >= max(P.explains * less, 0 if unanimous else P.explainsSmall / d ** 2)
            and halves >= between(P.smallHalves, P.largeHalves) and others >= between(P.smallOthers, P.largeOthers))


def better_plain(plain, at_hand):
    """Plain correlation's estimate where it leaves clearly less unexplained, or None.

    Noise that is alike in all channels (few rows, a light drift) is what whitening makes louder.
    """
    block, d = plain.block, len(plain.block.whole)
    answer = block.answer
    rest = lambda a: unexplained(block.whole, plain.gx, plain.gy, a)
    estimate, here = at_hand.prob.mean(), rest(answer)
    explained, difference = rest(None) - here, rest(at_hand.answer) - here
    agreed, both = block.agreement, same(block.of_half[0], answer) & same(block.of_half[1], answer)
    prob = np.zeros(d)
    if is_credible(explained, agreed, same(answer, at_hand.answer).mean(), estimate, d, plain.rows):
        everything = min(P.bothHalves, P.allOfHalf * np.sqrt(agreed))
        others = max(0.0, (everything - P.bothHalves * agreed) / (1 - agreed)) if agreed < 1 else 0.0
        prob = np.where(both, P.bothHalves, others)
    few = fewness(plain.rows, d)
    believable = (prob.mean() >= estimate - P.muchLess or estimate < P.hopeless
                  or few > 0 and (prob.mean() >= 1 - few * (1 - P.atLeastHalf)
                                  or few * difference > (1 - few) * P.clearWin))
    if not difference > winning_bits(explained, estimate, d, plain.rows) or not believable:
        return None
    prob = np.maximum(prob, np.where(same(answer, at_hand.answer), at_hand.prob, at_hand.prob / 2))
    return SimpleNamespace(answer=answer, prob=prob, block=block, scores=None, placed=False)


# ------------------------------------------------------------------------------------------------ rotation null

class RandomGauges:
    """core/src/gauge: gauges of splitmix64."""
    BITS = (1 << 64) - 1

    def __init__(self, state):
        self.state = state

    @classmethod
    def mix(cls, z):
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & cls.BITS
        z = (z ^ z >> 27) * 0x94d049bb133111eb & cls.BITS
        return z ^ z >> 31

    def draw(self):
        self.state = self.state + 0x9e3779b97f4a7c15 & self.BITS
        return self.mix(self.state)

    def below(self, bound):
        number = self.draw()
        while number < (self.BITS + 1 - bound) % bound:
            number = self.draw()
        return number % bound

    def next(self, d):
        perm = list(range(d))
        for i in range(d, 1, -1):
            j = self.below(i)
            perm[i - 1], perm[j] = perm[j], perm[i - 1]
        signs = [self.draw() for _ in range((d + 63) // 64)]
        return np.array(perm), np.array([1 if signs[i // 64] >> i % 64 & 1 else -1 for i in range(d)])


def rotated(m, random):
    """Q m, Q of signs, a permutation and transforms over the first and the last p rows."""
    d = len(m)
    p = 1 << d.bit_length() - 1
    h = hadamard(p) / np.sqrt(p)
    for _ in range(int(P.rotationRounds)):
        perm, sign = random.next(d)
        m = m[perm] * sign[:, None]
        m[:p] = h @ m[:p]
        if p < d:
            m[d - p:] = h @ m[d - p:]
    return m


def discoveries(scores, null):
    """1 - local false discovery rate of each score, given scores of the null (core/src/match/rotation_null.cpp)."""
    null, count = np.sort(null), len(scores)
    rank = np.maximum(1, len(null) - np.searchsorted(null, scores, "left")) / len(null)
    upper = (rank > P.nullTail).sum()
    share = min(1.0, (upper + np.sqrt(upper) + 1) / count / (1 - P.nullTail))
    slope = lambda a, b: (b[1] - a[1]) / (b[0] - a[0])
    hull, ordered = [(0.0, 0.0)], np.sort(rank)
    for k, u in enumerate(ordered):
        if k + 1 < count and ordered[k + 1] == u:
            continue
        point = u + 1 / count, (k + 1) / count
        while len(hull) > 1 and slope(hull[-2], hull[-1]) <= slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    at = np.clip(np.searchsorted([x for x, _ in hull], rank + 1 / count, "left"), 1, len(hull) - 1)
    return np.array([np.clip(1 - share / max(slope(hull[k - 1], hull[k]), 1e-9), 0, 1) for k in at])


def rotation_confidence(w, answer):
    """How much better each channel matches than the same content in random coordinates would."""
    perm, sign = answer
    score, found = sign * matched(w, answer), np.zeros(len(w))
    left = np.flatnonzero(score != 0)
    left = left[np.argsort(-score[left].astype(np.float32), kind="stable")]
    random, fewest = RandomGauges(int(P.rotationSeed)), int(P.fewestInNull)
    for _ in range(int(P.nullRounds)):
        if len(left) < fewest:
            break
        believed = int(np.maximum(0, 2 * found[left] - 1).sum())
        asked = left[np.argsort(found[left], kind="stable")][:max(min(fewest, len(left)), len(left) - believed)]
        block = sign[asked][:, None] * w[np.ix_(asked, perm[asked])]
        null = []
        while len(null) < max(P.fewestNullScores, P.nullSolutions * len(block)):
            turned = rotated(block, random)
            null.extend(np.abs(matched(turned, solve(turned))))
        found[left] = discoveries(score[left], np.array(null))
        left = left[found[left] <= P.settled]
    return found


# ------------------------------------------------------------------------------------------------ posterior

MEDIAN_OF_SQUARE = 0.4549    # of a normal number


def upper_median(v):
    return np.sort(v, -1)[..., np.shape(v)[-1] // 2]



SCORES = BIN * (np.arange(BINS) + 0.5) - BIN * BINS / 2
LIKELIER = np.exp(np.minimum(SCORES[:, None] * STRENGTHS - STRENGTHS ** 2 / 2, MOST_EXPONENT))


def pair_posterior(w, answer, places=1.0):
    """Probability that target channel i's partner is source channel j with sign + and with sign -, if scores are the
    strength of the match with its sign, and a normal number beside it; how strengths are distributed the scores
    themselves tell (EM).  `places`: how likely pairs are beforehand."""
    (perm, sign), i = answer, np.arange(len(w))
    rest = np.delete(w.astype(np.float64).ravel() ** 2, i * len(w) + perm)
    unit = max(np.sqrt(min(rest.mean(), upper_median(rest) / MEDIAN_OF_SQUARE)), SMALLEST_SPREAD)
    at = np.clip(np.floor(w / unit / BIN + BINS / 2), 0, BINS - 1).astype(int)
    back = BINS - 1 - at
    share = np.full(len(STRENGTHS), 1 / len(STRENGTHS))
    seen = np.bincount(np.where(sign > 0, at[i, perm], back[i, perm]), minlength=BINS).astype(float)
    columns = np.ones(len(w))
    for round_ in range(int(P.posteriorRounds)):
        for _ in range(int(P.strengthRounds)):
            share = share * ((seen / np.maximum(LIKELIER @ share, 1e-300)) @ LIKELIER)
            share = share / share.sum()
        likelier = np.clip(LIKELIER @ share, 1 / P.mostLikely, P.mostLikely)
        with_sign, against = likelier[at] * places, likelier[back] * places
        both = with_sign + against
        for _ in range(int(P.balanceRounds)):
            rows = 1 / (both @ columns)
            columns = 1 / (rows @ both)
        plus, minus = (np.outer(rows, columns) * one for one in (with_sign, against))
        seen, before = (np.bincount(at.ravel(), plus.ravel(), BINS) + np.bincount(back.ravel(), minus.ravel(), BINS)), seen
        if np.abs((seen - before).cumsum()).max() < P.settledStrengths * len(w):
            break
    return plus, minus


def at_answer(pairs, answer):
    (plus, minus), (perm, sign), i = pairs, answer, np.arange(len(pairs[0]))
    return np.where(sign > 0, plus[i, perm], np.where(sign < 0, minus[i, perm], 0))


def posterior(w, answer):
    """Probability that each target channel's partner and sign are right."""
    return at_answer(pair_posterior(w, answer), answer)


def votes(structures, answer, believed):
    """The fit of each pair to the others, which count as much as they are believed; None where there is none."""
    perm, sign = answer
    t = 0.0
    for mx, my in structures:
        one = my @ ((sign * believed)[:, None] * mx[perm])
        one = one / spread(one, answer)
        t = t + max(0.0, (believed * sign * matched(one, answer)).sum() / believed.sum()) * one
    return t / spread(t, answer) if np.any(t) else None


def voted_posterior(z, answer, structures):
    """The posterior of the scores z, and of z with the votes of the others; again while that tells more."""
    best = believed = posterior(z, answer)
    for _ in range(int(P.voteRounds)):
        t = votes(structures, answer, believed)
        if t is None:
            break
        believed = posterior(z + t, answer)
        gain = believed.mean() - best.mean()
        best = believed if gain > 0 else best
        if gain < P.voteGain:
            break
    return best


def placed_posterior(z, gains, structures):
    """The answer that rows and gains give together, and its probabilities: gains say beforehand how likely pairs are;
    channels vote for others as above, and may move by it."""
    def ask(scores, answer):
        pairs = pair_posterior(scores, answer, gains.places)
        new = solve(np.where(pairs[0] >= pairs[1], pairs[0], -pairs[1]))
        return new, at_answer(pairs, new)

    answer, believed = ask(z, (gains.perm, np.sign(matched(z, (gains.perm,))).astype(int)))
    for _ in range(int(P.voteRounds)):
        t = votes(structures, answer, believed)
        if t is None:
            break
        new, likelier = ask(z + t, answer)
        gain = likelier.mean() - believed.mean()
        if gain > 0:
            answer, believed = new, likelier
        if gain < P.voteGain:
            break
    return answer, believed


def signs_of_halves(block, gains):
    """How far the signs of the gains' pairs in one half of the rows are those in the other half, in standard deviations
    of what chance does."""
    product = matched(block.halves[0], (gains.perm,)) * matched(block.halves[1], (gains.perm,))
    return product.sum() / max(np.sqrt((product ** 2).sum()), 1e-300)


# ------------------------------------------------------------------------------------------------ massive rows

LOG2E = 1.4426950408889634


def rough_log2(u):
    fraction, exponent = np.frexp(u)
    return exponent - 1 + (2 * fraction - 1)


def massive_levels(sums):
    """Levels of both sides (source, target), or None (core/src/match/massive_rows.cpp)."""
    units = [upper_median(np.abs(s)) for s in sums.massive]
    if 0 in units:
        return None
    return [np.copysign(rough_log2(1 + np.abs(s) / unit), s) for s, unit in zip(sums.massive, units)]


def with_massive(levels, estimate, scores):
    """The estimate with what massive rows say, where their levels fit it far better than chance."""
    block, answer, prob = estimate.block, estimate.answer, estimate.prob
    typical, d = upper_median(margins(block.whole, answer)[0]), len(prob)
    if typical <= 0:
        return estimate
    count = min(d, max(d // int(P.askedShare), int(P.fewestAsked)))
    asked = np.flatnonzero(prob >= min(P.likelyRight, np.sort(prob)[::-1][count - 1]))
    best, of_match, of_all = None, P.farBetter * prob.mean(), 1.0
    for source, target in filter(None, levels):
        squares = (target[asked][:, None] - answer[1][asked][:, None] * source) ** 2
        alls = upper_median(upper_median(squares))
        matches = max(upper_median(squares[np.arange(len(asked)), answer[0][asked]]), P.sameLevel * alls)
        if matches * of_all < of_match * alls:
            best, of_match, of_all = (source, target), matches, alls
    if best is None:
        return estimate
    (source, target), most = best, rough_log2(of_all / of_match) / (2 * LOG2E)
    ratio = lambda sign: np.maximum(0, most - (target[:, None] - sign * source) ** 2 / (2 * of_match / MEDIAN_OF_SQUARE))
    both = {1: ratio(1), -1: ratio(-1)}
    variance = sum((spread(h, block.answer) / block.unit) ** 2 for h in block.halves)
    worth = max(2 * variance - 1, 0.0) / (P.inDoubt * typical)
    positive, negative = scores + worth * both[1], scores - worth * both[-1]
    new = solve(np.where(positive >= -negative, positive, negative))

    def updated(a):
        prior = np.where(same(answer, a), prob, prob * (1 - prob))
        r = np.where(a[1] > 0, matched(both[1], a), np.where(a[1] < 0, matched(both[-1], a),
                     np.maximum(0, most - target ** 2 / (2 * of_match / MEDIAN_OF_SQUARE))))
        likely = prior * np.exp(r)
        return likely / (likely + 1 - prior)

    if updated(new).mean() + P.slack < updated(answer).mean():
        return estimate
    return SimpleNamespace(answer=new, prob=updated(new), block=block, scores=estimate.scores, placed=False)


# ------------------------------------------------------------------------------------------------ alignment

def ask_sites(x_sites, y_sites):
    """What the rows of all sites say (core/src/match/clues.cpp)."""
    d = np.shape(x_sites[0])[1]
    found = SimpleNamespace(blocks=[], structures=[], levels=[], soft=None, plain=None, rows=0,
                            copies=[np.full(d, d), np.full(d, d)])
    any_sure = False

    def read(sums):
        c = sums.correlations()
        for k, g in enumerate((c.gx, c.gy)):
            found.copies[k] = np.minimum(found.copies[k], (np.abs(g) > P.duplicate).sum(0))
        return c

    for x, y in zip(x_sites, y_sites):
        sums = Sums(x, y, COARSE)
        found.rows = max(found.rows, sums.rows)
        if sums.set_aside:
            found.levels.append(massive_levels(sums))
        c = read(sums)
        quick = Block(whitened(c.cross, whitener(c.gx, RIDGE), whitener(c.gy, RIDGE), True))
        if quick.sure:
            found.blocks.append(quick)
            any_sure, found.plain = True, None
            continue
        c, may_be_plain, best, structures = read(Sums(x, y, FINE)), not any_sure, None, []
        for strength in (2, 3, 4):
            of_x, of_y = whitener(c.gx, POLES[:strength]), whitener(c.gy, POLES[:strength])
            block = Block(whitened(c.cross, of_x, of_y, False))
            found.blocks.append(block)
            if best is None or block.advantage > best.advantage:
                best = block
            if strength == 2:
                soft = block.whole
            if block.sure:
                any_sure, found.plain = True, None
                break
            if strength != 3:
                structures.append((off_diagonal(of_x[0], c.constant[0]), off_diagonal(of_y[0], c.constant[1])))
        if block.sure:
            continue
        if best.weight > 0:
            found.structures.append((best.weight, structures))
        if found.soft is None or best.weight > found.soft[0]:
            found.soft = best.weight, soft
        if may_be_plain and (found.plain is None or best.weight > found.plain.weight):
            found.plain = SimpleNamespace(weight=best.weight, rows=sums.rows, cross=c.cross, gx=c.gx, gy=c.gy)
    if found.plain:
        found.plain.block = Block(found.plain.cross)
    return found


def align(x_sites, y_sites, x_gains=None, y_gains=None):
    """Match two checkpoints from lists of paired row blocks and {name: gain vector}; returns perm, sign, prob and
    margin per channel, share, verdict, which stages had a say, and what `calibrate.py` asks for."""
    found = ask_sites(x_sites, y_sites)
    block = fuse(found.blocks)
    largest = max(block.advantage, *(b.advantage for b in found.blocks))
    gains = match_gains(x_gains or {}, y_gains or {})
    known = gains if gains and gains.agreement * len(gains.perm) >= P.confirmedGains else None
    state = SimpleNamespace(answer=block.answer, block=block, scores=None, placed=False)
    stages = {"beyond doubt"} if block.sure else set()

    def better(stage, estimate):
        if estimate is not state:
            stages.add(stage)
        return estimate

    def scores_of(estimate):
        if estimate.scores is not None:
            return estimate.scores
        return estimate.block.whole / estimate.block.unit

    if block.sure and known and known.agreement >= P.decisiveGains:
        stages.add("gains")
        state.answer = solve(add_gains(scores_of(state), known))
    rows = features(block, state.answer, largest)
    state.prob = confidence(rows, block.sure)
    heaviest = max((w for w, _ in found.structures), default=0)
    structures = [s for w, of_site in found.structures if w >= P.usefulStructure * heaviest for s in of_site]
    if structures and not block.sure:
        refined = refine(scores_of(state), state.answer, structures)
        rows = features(block, refined[0], largest, refined)
        prob = confidence(rows, False)
        stages.add("refined" if prob.mean() >= P.keepRefined else "refined in vain")
        if prob.mean() >= P.keepRefined:
            state.answer, state.prob = refined[0], prob
            state.scores = refined[1]
        else:
            state.prob = np.where(same(state.answer, refined[0]), prob, prob / 2)
    if found.plain:
        state = better("plain", better_plain(found.plain, state) or state)
    if not block.sure:
        whitened = state.block is block
        narrow = below_twice(P.fittedWidth, len(state.prob))
        few, of_null = (narrow, P.ofNull) if whitened else (1, P.ofNullForPlain)
        own = fitted = state.prob
        if few < 1:
            stages.add("posterior")
            own = voted_posterior(block.whole / block.unit, state.answer, structures)
            rows_or_refined = block.whole / block.unit if state.scores is None else state.scores
            own = (own + posterior(rows_or_refined, state.answer)) / 2
        if few > 0:
            stages.add("rotation null")
            null = rotation_confidence(block.whole, state.answer)
            if found.soft:
                soft = rotation_confidence(found.soft[1], state.answer)
                null = soft if soft.mean() > null.mean() else null
            fitted = fitted + of_null * (null - fitted)
        state.prob = own + few * (fitted - own)
        if known and signs_of_halves(block, known) >= P.pairedRows:
            answer, prob = placed_posterior(block.whole / block.unit, known, structures)
            if prob.mean() > state.prob.mean():
                state = better("placed by gains", SimpleNamespace(answer=answer, prob=prob, block=state.block, scores=None,
                                                                  placed=True))
        if found.levels and not state.placed:
            state = better("massive rows", with_massive(found.levels, state, scores_of(state)))
    perm, sign = state.answer
    of_match, runner_up = margins(state.block.whole, state.answer)
    live = of_match != 0    # constant channels are undetermined: sign 0
    prob = np.minimum(np.where(live, state.prob, 0), 1 / np.maximum(1, np.maximum(found.copies[0][perm], found.copies[1])))
    sign = np.where(live, sign, 0)
    share = float(prob.mean()) if len(prob) else 0.0    # a channel of which nothing is known is not right
    margin = (of_match - runner_up) * state.block.unit / state.block.scale
    return dict(perm=perm, sign=sign, prob=prob, margin=margin, share=share,
                verdict=verdict_of(share, len(perm), found.rows),
                rows=found.rows, features=rows, sure=block.sure, stages=stages)


# ------------------------------------------------------------------------------------------------ trace

def compose(first, second):
    """Answers (perm, sign, prob): first i -> j, then j -> k."""
    (p, s, c), (q, t, e) = first, second
    return p[q], t * s[q], c[q] * e


def best_path(edges, last):
    """Path 0 .. last over known edges {(i, j): share} that maximises the product of shares."""
    value, back = {0: 1.0}, {}
    for j in range(1, last + 1):
        found = [(value[i] * max(e, P.smallestShare), -i) for (i, k), e in edges.items() if k == j and i in value]
        if found:
            value[j], i = max(found)
            back[j] = -i
    path = [last]
    while path[-1]:
        path.append(back[path[-1]])
    return path[::-1], value[last]


def trace(count, edge):
    """Gauge from checkpoint 0 to count - 1; `edge(i, j)` aligns two checkpoints (see align).

    Neighbours and the end pair always; then pairs over and around stretches of hops that are weak, and then of those that
    are fair at best, of the surest path and of the surest that goes through at least one checkpoint, while the estimate is
    short of P.goodTrace.  The surest path votes, and every other that shares no weak hop (without weak hops: no hop at all)
    with one that votes already (and is at least half as good).
    """
    last, known = count - 1, {}
    most = P.pairsACheckpoint * count + P.pairsBeside

    def measure(i, j):
        if (i, j) not in known:
            known[i, j] = edge(i, j)

    for i in range(last):
        measure(i, i + 1)
    measure(0, last)

    def shares(skip_ends=False):
        return {k: v["share"] for k, v in known.items() if not (skip_ends and k == (0, last))}

    def around(path, good):
        before, k = len(known), 0
        while k + 1 < len(path):
            if known[path[k], path[k + 1]]["share"] >= good:
                k += 1
                continue
            end = k + 1
            while end + 1 < len(path) and known[path[end], path[end + 1]]["share"] < good:
                end += 1
            lo, hi = max(k - 1, 0), min(end + 1, len(path) - 1)
            for i in range(lo, hi):
                for j in range(i + 1, hi + 1):
                    if len(known) < most and (hi - lo < P.shortStretch or j - i <= P.longestSkip):
                        measure(path[i], path[j])
            if path[end] - path[k] > 1 and end == k + 1:
                middle = (path[k] + path[end]) // 2
                measure(path[k], middle); measure(middle, path[end])
            k = end + 1
        return len(known) > before

    for good in (P.weakHop, P.fairHop):
        more = True
        while more and len(known) < most:
            path, value = best_path(shares(), last)
            if value >= P.goodTrace:
                break
            more = False
            for way in (path, best_path(shares(skip_ends=True), last)[0]):
                if len(way) > 2:
                    more = around(way, good) or more

    def along(path):
        answer = None
        for i, j in zip(path, path[1:]):
            k = known[i, j]
            step = (k["perm"], k["sign"], k["prob"])
            answer = step if answer is None else compose(answer, step)
        return answer

    path, _ = best_path(shares(), last)
    others = {(0, last), tuple(range(count))}
    mirrored = {(last - j, last - i): v for (i, j), v in shares().items()}
    for i, j in known:
        head = best_path(shares(), i)[0] if i else [0]
        tail = [last - k for k in reversed(best_path(mirrored, last - j)[0])] if j < last else [last]
        others.add(tuple(head + tail))
    others.discard(tuple(path))
    routes = [(tuple(path), along(path))] + sorted(((w, along(w)) for w in sorted(others)), key=lambda r: -r[1][2].mean())
    weak, skipped, voters, apart = set(), set(), [], []
    for way, answer in routes:
        hops = set(zip(way, way[1:]))
        own = {h for h in hops if known[h]["share"] < P.weakHop} or hops
        if voters and (own & weak or answer[2].mean() < P.fairRoute * routes[0][1][2].mean()):
            continue
        weak |= own
        over = {k for i, j in own for k in range(i + 1, j)}
        apart.append(not over & skipped)    # what drifted meanwhile misleads every route that skips it
        skipped |= over if apart[-1] else set()
        voters.append(answer)
    d = len(voters[0][0])
    votes = np.zeros((d, d))
    for p, s, c in voters:
        c = np.clip(c, P.surestVote, 1 - P.surestVote)
        votes[np.arange(d), p] += s * np.maximum(np.log(c / (1 - c)) + P.loneVote, P.leastVote)
    perm, sign = solve(votes) if len(voters) > 1 else voters[0][:2]
    wrong, against = np.ones(d), np.zeros(d)
    for (p, s, c), alone in zip(voters, apart):
        agrees, doubt = same((p, s), (perm, sign)), 1 - c
        confirmed = np.where(c > P.confirming, wrong * (doubt if alone else np.sqrt(doubt)), np.minimum(wrong, doubt))
        wrong = np.where(agrees, confirmed, wrong)
        against = np.where(agrees, against, np.maximum(against, c))
    both = (1 - wrong) * against
    prob = np.where(both < 1, (1 - wrong - both) / np.maximum(1 - both, 1e-12), 0)
    weakest = min(zip(path, path[1:]), key=lambda h: known[h]["share"])
    share = float(prob.mean())
    verdict = verdict_of(share, d, min(known[h]["rows"] for h in zip(path, path[1:])))
    return dict(perm=perm, sign=sign, prob=prob, share=share, verdict=verdict, path=path, weakest=weakest)
