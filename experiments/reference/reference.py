"""Reference implementation of regauge's matching and trace in NumPy: the definition, not the fast way.

Everything starts from integers (quantise, Sums), so shards merge in any order; then float64 in a fixed order.
A score matrix is indexed [source channel, target channel]; an answer is (perm, sign), y[i] = sign[i] * x[perm[i]].
Constants are named here once; REPORT (experiments/reference/README.md) has the measurements behind each.
"""
import numpy as np
from scipy.optimize import linear_sum_assignment

QMAX = 511            # 10 bits: 8 lose what lies below their rounding noise (eigenvalues near 1e-4)
FIT_ROWS = 4096       # rows the quantiser is fitted on
OUTLIER = 8.0         # a row is set aside when its norm exceeds this many median norms
BLOCK = 32            # rows per block; even blocks are half 0, odd blocks half 1
# Inverse square root as a sum of four shifted inverses: 4.4 % relative error on [1e-4, 100], ~1/w above.
SHIFTS = np.array([1.6e-4, 0.0127, 0.786, 63.4])
COEFFS = np.array([0.0212, 0.1486, 1.168, 13.44])
STATISTICS = {"whitened": slice(0, 4), "medium": slice(1, 4), "soft": slice(2, 4)}   # which poles each uses


# ------------------------------------------------------------------------------------------------ sums

def quantiser(x):
    """Centre and power-of-two step per channel, from the first rows without the outlying ones; 0 marks a constant."""
    x = np.asarray(x[:FIT_ROWS], np.float64)
    norm = np.sqrt((x * x).sum(1))
    limit = OUTLIER * np.median(norm)
    kept = x[norm <= limit]
    centre, sd = kept.mean(0), kept.std(0)
    live = sd > 1e-7 * np.maximum(np.abs(centre), 1e-30)
    step = np.where(live, np.exp2(np.ceil(np.log2(np.where(live, sd, 1) * 4 / QMAX))), 0)
    return centre, step, limit


def quantise(x, fit=None):
    """Integers in [-QMAX, QMAX] (the clamp lies between 4 and 8 sd), and which rows are kept."""
    centre, step, limit = fit or quantiser(x)
    x = np.asarray(x, np.float64)
    scale = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    q = np.clip(np.rint((x - centre) * scale), -QMAX, QMAX)
    return q, (x * x).sum(1) <= limit * limit


class Sums:
    """Additive integer sums over paired rows: both Gram matrices once, the cross products for each half."""

    def __init__(self, x, y, block=BLOCK):
        (qx, kx), (qy, ky) = quantise(x), quantise(y)
        keep = kx & ky
        half = (np.arange(len(keep)) // block) % 2
        self.n, self.sx, self.sy, self.sxy = [], [], [], []
        for h in (0, 1):
            a, b = qx[keep & (half == h)], qy[keep & (half == h)]
            self.n.append(len(a)); self.sx.append(a.sum(0)); self.sy.append(b.sum(0)); self.sxy.append(a.T @ b)
        self.sxx, self.syy = qx[keep].T @ qx[keep], qy[keep].T @ qy[keep]

    def correlations(self):
        """C0, C1 (they add up to C), Gx, Gy.  Constant channels have zero rows and columns."""
        n, sx, sy = sum(self.n), sum(self.sx), sum(self.sy)
        vx, vy = np.diag(self.sxx) - sx * sx / n, np.diag(self.syy) - sy * sy / n
        ix = np.divide(1, np.sqrt(vx), out=np.zeros_like(vx), where=vx > 0)
        iy = np.divide(1, np.sqrt(vy), out=np.zeros_like(vy), where=vy > 0)
        gx = (self.sxx - np.outer(sx, sx) / n) * np.outer(ix, ix)
        gy = (self.syy - np.outer(sy, sy) / n) * np.outer(iy, iy)
        halves = []
        for h in (0, 1):   # centred by the mean of all rows, so that the halves add up exactly
            c = (self.sxy[h] - np.outer(self.sx[h], sy) / n - np.outer(sx, self.sy[h]) / n
                 + self.n[h] * np.outer(sx, sy) / (n * n))
            halves.append(c * np.outer(ix, iy))
        return halves[0], halves[1], gx, gy


# ------------------------------------------------------------------------------------------------ statistic

def shifted_inverses(g):
    return [np.linalg.inv(g + s * np.eye(len(g))) for s in SHIFTS]


def whitener(g, inverses, poles):
    """A = sum c_k (G + s_k)^-1 over the poles, and the diagonal of A G A without a product."""
    c, s, inv = COEFFS[poles], SHIFTS[poles], inverses[poles]
    a = sum(ck * m for ck, m in zip(c, inv))
    diag = [np.diag(m) for m in inv]
    norm = np.zeros(len(g))
    for k in range(len(s)):      # inv_k G inv_l = inv_l - s_k inv_k inv_l ; inv_k inv_l = (inv_k - inv_l) / (s_l - s_k)
        for l in range(len(s)):
            both = (inv[k] ** 2).sum(1) if k == l else (diag[k] - diag[l]) / (s[l] - s[k])
            norm += c[k] * c[l] * (diag[l] - s[k] * both)
    return a, np.maximum(norm, 1e-12)


def statistics(sums, names=tuple(STATISTICS)):
    """{name: (W0, W1)}: the two halves of each statistic; the statistic itself is their sum."""
    c0, c1, gx, gy = sums.correlations()
    out = {}
    ix, iy = shifted_inverses(gx), shifted_inverses(gy)
    for name in names:
        if name == "correlation":
            out[name] = (c0, c1)
            continue
        (a, na), (b, nb) = whitener(gx, ix, STATISTICS[name]), whitener(gy, iy, STATISTICS[name])
        scale = np.outer((np.diag(gx) > 0) / np.sqrt(na), (np.diag(gy) > 0) / np.sqrt(nb))
        out[name] = (a @ c0 @ b * scale, a @ c1 @ b * scale)
    return out


# ------------------------------------------------------------------------------------------------ matching

def match(w, bonus=None):
    """Maximise the sum of |w| (+ bonus); the sign is that of w at the matched entry."""
    score = np.abs(w) if bonus is None else np.abs(w) + bonus
    source, target = linear_sum_assignment(-score)
    perm = np.empty(len(w), int)
    perm[target] = source
    return perm, np.sign(w[perm, np.arange(len(w))]).astype(int)


def spread(w, perm=None):
    """Root mean square of the entries that are not matched."""
    d = len(w)
    total = (w * w).sum()
    matched = (w[perm, np.arange(d)] ** 2).sum() if perm is not None else (np.abs(w).max(0) ** 2).sum()
    return np.sqrt(max(total - matched, 1e-300) / (d * (d - 1)))


def advantage(w0, w1):
    """How far a column's winner in one half beats its runner-up in the other half, in spreads; both ways, both axes.

    Near 0 (at most about 0.4) when the best pair is only the largest of many, however reproducible; that is what
    agreement of halves cannot see.  This is what chooses and weighs blocks.
    """
    parts = []
    for u, v in ((w0, w1), (w1, w0), (w0.T, w1.T), (w1.T, w0.T)):
        j, size = np.arange(len(u)), np.abs(u)
        first = size.argmax(0)
        size[first, j] = -1
        second = size.argmax(0)
        gain = np.sign(u[first, j]) * v[first, j] - np.sign(u[second, j]) * v[second, j]
        rest = np.sqrt(max((v * v).sum() - (v[first, j] ** 2).sum(), 1e-300) / (len(v) * (len(v) - 1)))
        parts.append(gain.mean() / rest)
    return float(np.mean(parts))


def fuse(blocks):
    """Sum of blocks, each divided by its spread and weighted by its squared advantage; before absolute values."""
    a = np.array([advantage(w0, w1) for w0, w1 in blocks])
    weight = np.maximum(a, 0) ** 2
    if weight.max() <= 0:
        weight[a.argmax()] = 1
    weight /= weight.max()
    out = [0, 0]
    for k, (w0, w1) in zip(weight, blocks):
        if k > 1e-3:
            s = k / spread(w0 + w1)
            out[0], out[1] = out[0] + s * w0, out[1] + s * w1
    return out[0], out[1], a


# ------------------------------------------------------------------------------------------------ second order

REFINE_ROUNDS, REFINE_RAMP = 12, 4


def structures(sums):
    """Off-diagonal structure that a gauge must carry from one side to the other: soft and full inverse roots of G."""
    _, _, gx, gy = sums.correlations()
    ix, iy = shifted_inverses(gx), shifted_inverses(gy)
    out = []
    for name in ("soft", "whitened"):
        pair = []
        for g, inv in ((gx, ix), (gy, iy)):
            m = whitener(g, inv, STATISTICS[name])[0].copy()
            m[np.diag(g) == 0] = 0; m[:, np.diag(g) == 0] = 0
            np.fill_diagonal(m, 0)
            size = np.sqrt((m * m).sum(0))
            size[size == 0] = 1
            pair.append(m / np.sqrt(np.outer(size, size)))
        out.append(tuple(pair))
    return out


def margins(w, perm, sign):
    """Signed matched score, and the best alternative in its row or column, in spreads."""
    j, size = np.arange(len(w)), np.abs(w) / spread(w, perm)
    matched = sign * w[perm, j] / spread(w, perm)
    size[perm, j] = -1
    return matched, np.maximum(size.max(0), size.max(1)[perm])


def refine(w, pairs):
    """Seeded graph matching: add to the scores w how well a pair (i, j) fits the present answer on the other channels,

        T[i, j] = sum_k Mx[i, perm k] sign k weight k My[k, j],

    with Mx, My the structures of both sides.  T leaves the pair itself out (zero diagonals).  Answers cycle at the end;
    the first repeated one is returned.  One product and one assignment a round and structure.
    """
    perm, sign = match(w)
    z = w / spread(w, perm)
    combined, t, seen = z, np.zeros_like(z), set()
    for round_ in range(REFINE_ROUNDS):
        m, run = margins(combined, perm, sign)
        weight = 1 / (1 + np.exp(-2 * (m - run)))
        t = np.zeros_like(z)
        for mx, my in pairs:
            one = (mx[:, perm] * (sign * weight)) @ my
            one /= spread(one, perm)
            t += max(0.0, (weight * sign * one[perm, np.arange(len(w))]).sum() / weight.sum()) * one
        if not t.any():
            break
        t /= spread(t, perm)
        combined = z + min(1.0, (round_ + 1) / REFINE_RAMP) * t
        perm, sign = match(combined)
        key = (perm * 2 + (sign > 0)).tobytes()
        if key in seen:
            break
        seen.add(key)
    return perm, sign, combined, z, t


# ------------------------------------------------------------------------------------------------ gains

GAIN_FLOOR = 0.25


def gain_scores(gx, gy, perm=None, weight=None):
    """Unsigned log-likelihood ratio that source i and target j are one channel, from gain vectors [count, d].

    Each gain vector is centred and scaled by its own side's spread.  Without an answer the matched difference is taken as
    GAIN_FLOOR of a spread; with one, as the weighted mean square over its pairs, so useless gains weigh nothing.
    """
    out = np.zeros((gx.shape[1], gy.shape[1]))
    for u, v in zip(np.asarray(gx, np.float64), np.asarray(gy, np.float64)):
        if u.std() < 1e-6 or v.std() < 1e-6:
            continue
        u, v = (u - u.mean()) / u.std(), (v - v.mean()) / v.std()
        own = GAIN_FLOOR ** 2
        if perm is not None:
            own = np.clip((weight * (u[perm] - v) ** 2).sum() / weight.sum(), own / 16, 2)
        squared = np.minimum((u[:, None] - v) ** 2, 9)
        out += 0.5 * (squared / 2 - squared / own + np.log(2 / own))
    return out


# ------------------------------------------------------------------------------------------------ confidence

# Logistic per channel, see `features`; fitted by experiments/reference/calibrate.py.
CONFIDENCE = np.array([2.446, 0.77, 0.542, 1.084, 0.746, 1.933, 1.174, 0.095, -2.427])
BEYOND_DOUBT = 5, 2   # and of the channel's own margin where the answer is sure
UNRELATED, UNRELATED_BY_D, ALIGNED = 0.48, 3, 0.90   # unrelated below the first plus the second over d: of few channels one is soon like another
UNRELATED_FEW = 0.60  # for at most 2 d rows, where chance alone reaches 0.58
SURE_MARGIN, SURE_ADVANTAGE, SURE_AGREEMENT = 2.0, 2.0, 0.98   # beyond these the refinement cannot change the answer and is skipped
MUCH_LESS, HOPELESS = 0.2, 0.4   # see second_opinion
EXPLAINS, AGREES = 0.22, 0.35          # bits a channel that chance does not explain, and of the halves
EXPLAINS_SMALL, EXPLAINS_AGREED = 32, 100   # over d^1.5 where d is small, and over d^2 where the answers agree
DUPLICATE = 0.999     # |correlation| of two channels of one side from which they are called duplicates
SMALL_D = 2.0         # allowance for d < 64
KEEP_REFINED = 0.30   # below this estimate the first answer stands: there refinement loses up to 19 points


def features(combined, z, t, halves, perm, sign, a):
    """One row a target channel: 1; margins of w and of T, clipped to [-2, 4]; then for the pair log(.1 + mean margin of the
    combined scores), mean margins of w and of T (all three capped at 1.5), log(.1 + largest advantage, at most 3); how many
    halves give the final answer here (0, 1, 2); agreement of the halves. Where there was nothing to refine with, w stands in for T."""
    one = np.ones(len(z))
    mc, mz = (np.subtract(*margins(s, perm, sign)) for s in (combined, z))
    mt = np.subtract(*margins(t, perm, sign)) if np.any(t) else mz
    root = len(z) ** 0.5
    few = SMALL_D * max(0.0, 1 / root - 0.125) * max(1.0, 4 / root)     # means over few channels scatter more
    gc, gz, gt = (np.clip(m.mean() - few, -0.8, 1.5) for m in (mc, mz, mt))
    answers = [match(h) for h in halves]
    same = [(p == perm) & (s == sign) for p, s in answers]
    agree = ((answers[0][0] == answers[1][0]) & (answers[0][1] == answers[1][1])).mean()
    return np.stack([one, *(np.clip(m, -2, 4) for m in (mz, mt)), one * np.log(0.1 + max(gc, 0)), one * gz, one * gt,
                     one * np.log(0.1 + np.clip(a, 0, 3)), 1.0 * same[0] + same[1], one * agree], 1)


def logistic(t):
    return 1 / (1 + np.exp(-np.clip(t, -40, 40)))


def confidence(rows, sure):
    """Probability that each target channel's partner and sign are right."""
    return logistic(BEYOND_DOUBT[0] + BEYOND_DOUBT[1] * rows[:, 1] if sure else rows @ CONFIDENCE)


def unexplained(c, gx, gy, perm=None, sign=None):
    """log2 det of what is left of the target's correlation matrix, in bits a channel, when each target channel is predicted from its source channel."""
    rest = gy.copy()
    if perm is not None:
        sign = np.where(sign < 0, -1, 1)
        moved, g = c[perm] * sign[:, None], gx[np.ix_(perm, perm)] * np.outer(sign, sign)
        slope = np.clip(np.diag(moved), -0.999, 0.999)
        rest = rest - slope[:, None] * moved - (slope[:, None] * moved).T + np.outer(slope, slope) * g
    positive, log = np.linalg.slogdet(rest + 1e-4 * np.eye(len(gy)))
    return log / np.log(2) / len(gy) if positive > 0 else np.inf


def second_opinion(sums, perm, sign, estimate):
    """Plain correlation's answer where it leaves clearly less unexplained: (perm, sign, prob), or None.

    Noise that is alike in all channels (few rows, a light drift) is what whitening makes louder.
    """
    c0, c1, gx, gy = sums.correlations()
    p, s = match(c0 + c1)
    here, explained = unexplained(c0 + c1, gx, gy, p, s), unexplained(c0 + c1, gx, gy)
    explained -= here
    difference = unexplained(c0 + c1, gx, gy, perm, sign) - here
    rows, d = sum(sums.n), len(p)
    enough = max(EXPLAINS, EXPLAINS_SMALL / d ** 1.5)
    needed = ((-0.06 if explained >= enough and estimate < 0.99 else 0) if rows <= d else    # what whitening fits is partly chance
              0.01 if estimate >= 0.998 else                     # all but certain
              (-0.003 if estimate >= 0.99 else -0.02) if explained >= 0.3 else    # light noise, alike in all channels: about as good will do
              0 if rows <= 2 * d else
              min(0.004, 30 / (d * rows)) if explained >= 0.1 else    # cannot be chance: some ten units of log-likelihood
              0.004 if explained > 0 else np.inf)
    if not difference > needed:
        return None
    same = lambda a, b: (a[0] == b[0]) & (a[1] == b[1])
    halves = match(c0), match(c1)
    agreed = same(*halves).mean()
    with_at_hand = same((p, s), (perm, sign)).mean()
    few = rows <= 2 * d and agreed >= 0.45      # too few rows to be reproducibly wrong; they span no more than their number
    credible = with_at_hand >= 0.8 and estimate >= 0.8 and d >= 16 or explained >= enough or (      # nearly the same answer, or far above chance
        explained >= max(EXPLAINS, 0 if d >= 16 and min(agreed, with_at_hand) >= 0.9 else EXPLAINS_AGREED / d ** 2) and agreed >= 0.3 and with_at_hand >= 0.5
        if d <= 32 else
        explained * max(1, d / rows) >= enough / 2 if few else
        explained >= enough / 2 and agreed >= AGREES and with_at_hand >= AGREES)
    prob = np.zeros(len(p))
    if credible:
        both = same(halves[0], (p, s)) & same(halves[1], (p, s))
        everything = min(0.97, 1.1 * np.sqrt(agreed))
        prob = np.where(both, 0.97, max(0.0, (everything - 0.97 * agreed) / (1 - agreed)) if agreed < 1 else 0)
    if prob.mean() >= estimate - MUCH_LESS or estimate < HOPELESS or rows <= 2 * d and (prob.mean() >= 0.5 or difference > 0):
        return p, s, prob
    return None


def align(x_sites, y_sites, names=tuple(STATISTICS)):
    """Match two checkpoints from lists of paired row blocks; returns perm, sign, prob per channel, share, verdict, weights."""
    blocks, owner, sums = [], [], []
    for k, (x, y) in enumerate(zip(x_sites, y_sites)):
        sums.append(Sums(x, y))
        for halves in statistics(sums[-1], names).values():
            blocks.append(halves); owner.append(k)
    w0, w1, a = fuse(blocks)
    perm, sign = match(w0 + w1)
    z = (w0 + w1) / spread(w0 + w1, perm)
    combined, t = z, np.zeros_like(z)
    (p0, s0), (p1, s1) = match(w0), match(w1)
    sure = (np.subtract(*margins(z, perm, sign)).mean() >= SURE_MARGIN and a.max() >= SURE_ADVANTAGE
            and ((p0 == p1) & (s0 == s1)).mean() >= SURE_AGREEMENT)
    if not sure:
        weight = np.maximum(a, 0) ** 2
        kept = sorted({o for o, v in zip(owner, weight) if v >= 0.1 * weight.max()})
        first = perm, sign
        perm, sign, combined, z, t = refine(w0 + w1, [m for k in kept for m in structures(sums[k])])
    rows = features(combined, z, t, (w0, w1), perm, sign, a.max())
    prob = confidence(rows, sure)
    if not sure and prob.mean() < KEEP_REFINED:
        prob = np.where((first[0] == perm) & (first[1] == sign), prob, prob / 2)
        perm, sign = first
    if not sure:    # asked of the site with the largest advantage
        plain = second_opinion(sums[owner[int(a.argmax())]], perm, sign, prob.mean())
        if plain:
            prob = np.maximum(np.where((plain[0] == perm) & (plain[1] == sign), prob, prob / 2), plain[2])
            perm, sign = plain[:2]
    for g in (sums[0].correlations()[2][np.ix_(perm, perm)], sums[0].correlations()[3]):   # duplicates cannot be told apart
        prob = np.minimum(prob, 1 / np.maximum(1, (np.abs(g) > DUPLICATE).sum(0)))
    live = np.diag(sums[0].correlations()[3]) > 0     # constant channels are undetermined: matched last, sign 0
    prob, sign = np.where(live, prob, 0), np.where(live, sign, 0)
    share, final = float(prob[live].mean()), (perm, sign)
    least = max(UNRELATED + UNRELATED_BY_D / len(perm), UNRELATED_FEW if sum(sums[0].n) <= 2 * len(perm) else 0)
    verdict = "aligned" if share >= ALIGNED else "partial" if share >= least else "unrelated"
    return dict(perm=perm, sign=sign, prob=prob, share=share, verdict=verdict, advantage=a, scores=combined,
                features=rows, sure=sure, final=final, live=live)


# ------------------------------------------------------------------------------------------------ trace

def compose(first, second):
    """Answers (perm, sign, prob): first i -> j, then j -> k."""
    (p, s, c), (q, t, e) = first, second
    return p[q], t * s[q], c[q] * e


def best_path(edges, last):
    """Path 0 .. last over known edges {(i, j): share} that maximises the product of shares."""
    value, back = {0: 1.0}, {}
    for j in range(1, last + 1):
        found = [(value[i] * max(e, 1e-6), -i) for (i, k), e in edges.items() if k == j and i in value]
        if found:
            value[j], i = max(found)
            back[j] = -i
    path = [last]
    while path[-1]:
        path.append(back[path[-1]])
    return path[::-1], value[last]


WEAK, FAIR, GOOD_TRACE = 0.995, 0.9995, 0.998


def trace(count, edge):
    """Gauge from checkpoint 0 to count - 1; `edge(i, j)` aligns two checkpoints (see align).

    Neighbours and the end pair always; then pairs over and around stretches of hops that are weak, and then of those that
    are fair at best, of the surest path and of the surest that goes through at least one checkpoint, while the estimate is
    short of GOOD_TRACE.  The surest path votes, and every other that shares no weak hop (without weak hops: no hop at all)
    with one that votes already (and is at least half as good).
    """
    last, known = count - 1, {}
    most = 4 * count + 32

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
                    if len(known) < most and (hi - lo < 7 or j - i <= 3):
                        measure(path[i], path[j])
            if path[end] - path[k] > 1 and end == k + 1:
                middle = (path[k] + path[end]) // 2
                measure(path[k], middle); measure(middle, path[end])
            k = end + 1
        return len(known) > before

    for good in (WEAK, FAIR):
        more = True
        while more and len(known) < most:
            path, value = best_path(shares(), last)
            if value >= GOOD_TRACE:
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
    weak, voters = set(), []
    for way, answer in routes:
        hops = set(zip(way, way[1:]))
        own = {h for h in hops if known[h]["share"] < WEAK} or hops
        if voters and (own & weak or answer[2].mean() < 0.5 * routes[0][1][2].mean()):
            continue
        weak |= own
        voters.append(answer)
    d = len(voters[0][0])
    votes = np.zeros((d, d))
    for p, s, c in voters:
        c = np.clip(c, 1e-4, 1 - 1e-4)
        votes[p, np.arange(d)] += s * np.maximum(np.log(c / (1 - c)) + 4, 0.01)   # +4: a lone weak vote still counts
    perm, sign = match(votes) if len(voters) > 1 else voters[0][:2]
    wrong, against = np.ones(d), np.zeros(d)
    for p, s, c in voters:
        same = (p == perm) & (s == sign)
        wrong = np.where(same, np.where(c > 0.5, wrong * (1 - c), np.minimum(wrong, 1 - c)), wrong)
        against = np.where(same, against, np.maximum(against, c))
    both = (1 - wrong) * against
    prob = np.where(both < 1, (1 - wrong - both) / np.maximum(1 - both, 1e-12), 0)
    weakest = min(zip(path, path[1:]), key=lambda h: known[h]["share"])
    return dict(perm=perm, sign=sign, prob=prob, share=float(prob.mean()), path=path, weakest=weakest, edges=known)
