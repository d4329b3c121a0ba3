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
CONFIDENCE = np.array([2.048, -0.123, 1.107, 0.506, 0.748, 1.467, 1.908, 0.965, 0.140, -0.699, -6.390])
UNRELATED, ALIGNED = 0.45, 0.90
UNRELATED_SMALL = 0.60  # for d <= 32, where chance alone reaches 0.55
SURE_MARGIN, SURE_ADVANTAGE = 2.0, 2.0     # beyond these the refinement cannot change the answer and is skipped
DUPLICATE = 0.999     # |correlation| of two channels of one side from which they are called duplicates
SMALL_D = 2.0         # allowance for d < 64
KEEP_REFINED = 0.40   # below this estimate the first answer stands: there refinement loses up to 19 points


def features(combined, z, t, halves, perm, sign, a, sure):
    """One row a target channel: 1; margins of the combined scores, of w and of T, clipped to [-2, 4]; then for the pair
    log(.1 + mean combined margin), mean margins of w and of T (all three capped at 1.5), log(.1 + largest advantage, at
    most 3); how many halves give the final answer here (0, 1, 2); agreement of the halves; whether refinement was skipped
    (then w stands in for T)."""
    one = np.ones(len(z))
    mc, mz = (np.subtract(*margins(s, perm, sign)) for s in (combined, z))
    mt = np.subtract(*margins(t, perm, sign)) if np.any(t) else mz
    few = SMALL_D * max(0.0, len(z) ** -0.5 - 0.125)     # means over few channels scatter more
    gc, gz, gt = (np.clip(m.mean() - few, -0.8, 1.5) for m in (mc, mz, mt))
    answers = [match(h) for h in halves]
    same = [(p == perm) & (s == sign) for p, s in answers]
    agree = ((answers[0][0] == answers[1][0]) & (answers[0][1] == answers[1][1])).mean()
    return np.stack([one, *(np.clip(m, -2, 4) for m in (mc, mz, mt)), one * np.log(0.1 + max(gc, 0)), one * gz, one * gt,
                     one * np.log(0.1 + np.clip(a, 0, 3)), 1.0 * same[0] + same[1], one * agree, one * sure], 1)


def confidence(rows):
    """Probability that each target channel's partner and sign are right."""
    return 1 / (1 + np.exp(-np.clip(rows @ CONFIDENCE, -40, 40)))


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
    sure = np.subtract(*margins(z, perm, sign)).mean() >= SURE_MARGIN and a.max() >= SURE_ADVANTAGE
    if not sure:
        weight = np.maximum(a, 0) ** 2
        kept = sorted({o for o, v in zip(owner, weight) if v >= 0.1 * weight.max()})
        first = perm, sign
        perm, sign, combined, z, t = refine(w0 + w1, [m for k in kept for m in structures(sums[k])])
    rows = features(combined, z, t, (w0, w1), perm, sign, a.max(), sure)
    prob = confidence(rows)
    for g in (sums[0].correlations()[2][np.ix_(perm, perm)], sums[0].correlations()[3]):   # duplicates cannot be told apart
        prob = np.minimum(prob, 1 / np.maximum(1, (np.abs(g) > DUPLICATE).sum(0)))
    live = np.diag(sums[0].correlations()[3]) > 0     # constant channels are undetermined: matched last, sign 0
    prob, sign = np.where(live, prob, 0), np.where(live, sign, 0)
    share, final = float(prob[live].mean()), (perm, sign)
    if not sure and share < KEEP_REFINED:
        prob = np.where((first[0] == perm) & (first[1] == sign), prob, prob / 2)
        perm, sign = first
    verdict = "aligned" if share >= ALIGNED else "partial" if share >= (UNRELATED if len(perm) > 32 else UNRELATED_SMALL) else "unrelated"
    return dict(perm=perm, sign=sign, prob=prob, share=share, verdict=verdict, advantage=a, scores=combined,
                features=rows, final=final, live=live)


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


GOOD, GOOD_TRACE = 0.995, 0.98


def trace(count, edge):
    """Gauge from checkpoint 0 to count - 1; `edge(i, j)` aligns two checkpoints (see align).

    Neighbours and the end pair always; then skips over and around the weakest hop while the estimate is short of
    GOOD_TRACE and they help.  The answer is a vote, per channel, of the best path, the plain chain and the end pair (those estimated at least half as good as the best).
    """
    last, known = count - 1, {}

    def measure(i, j):
        if 0 <= i < j <= last and (i, j) not in known:
            known[i, j] = edge(i, j)
            return True
        return False

    for i in range(last):
        measure(i, i + 1)
    measure(0, last)
    tried = set()
    while True:
        shares = {k: v["share"] for k, v in known.items()}
        path, value = best_path(shares, last)
        if value >= GOOD_TRACE:
            break
        hops = sorted((shares[h], h) for h in zip(path, path[1:]) if shares[h] < GOOD and h not in tried)
        if not hops:
            break
        (_, (i, j)) = hops[0]
        tried.add((i, j))
        for a, b in ((i - 1, j), (i, j + 1), (i - 1, j + 1), (i - 2, j), (i, j + 2)):
            measure(a, b)
        if j - i > 1:
            measure(i, (i + j) // 2); measure((i + j) // 2, j)

    def along(path):
        answer = None
        for i, j in zip(path, path[1:]):
            k = known[i, j]
            step = (k["perm"], k["sign"], k["prob"])
            answer = step if answer is None else compose(answer, step)
        return answer

    d = len(known[0, last]["perm"])
    votes = np.zeros((d, d))
    routes = [along(route) for route in sorted({tuple(path), tuple(range(count)), (0, last)})]
    floor = 0.5 * max(c.mean() for _, _, c in routes)
    for p, s, c in routes:
        if c.mean() < floor:
            continue
        c = np.clip(c, 1e-4, 1 - 1e-4)
        votes[p, np.arange(d)] += s * np.maximum(np.log(c / (1 - c)) + 4, 0.01)   # +4: a lone weak vote still counts
    perm, sign = match(votes)
    p, s, c = along(path)
    prob = np.where((perm == p) & (sign == s), c, 0.5 * np.minimum(c, 1 - c))
    weakest = min(zip(path, path[1:]), key=lambda h: known[h]["share"])
    return dict(perm=perm, sign=sign, prob=prob, share=float(prob.mean()), path=path, weakest=weakest, edges=known)
