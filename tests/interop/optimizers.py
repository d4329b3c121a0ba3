"""Every optimizer of torch (and of transformers, schedulefree and bitsandbytes, where they are installed): a step after the move is the move of a step.

Parameters have Llama's names and random gradients; state moved by the command, parameters and gradients by the definition, in float64.
"""
import pathlib
import tempfile

import torch

from common import check, finish, random_gauge, regauge, write_gauge

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
D, H, V, BEFORE, AFTER = 16, 12, 10, 4, 4
GAUGE = random_gauge(D, 3)
PERM, SIGN = torch.tensor(GAUGE["perm"]), torch.tensor(GAUGE["sign"], dtype=torch.float64)
# name -> shape, the residual axis, whether it changes sign
PARAMETERS = {"model.embed_tokens.weight": ((V, D), 1, True), "model.layers.0.mlp.up_proj.weight": ((H, D), 1, True), "model.layers.0.mlp.down_proj.weight": ((D, H), 0, True), "model.norm.weight": ((D,), 0, False)}


def moved(name, x):
    shape, axis, odd = PARAMETERS[name]
    y = x.index_select(axis, PERM)
    return y * (SIGN if axis == len(shape) - 1 else SIGN[:, None]) if odd else y


def moved_squares(name, x):
    return x.index_select(PARAMETERS[name][1], PERM)


def named(generator, only):
    return {name: torch.randn(shape, generator=generator) for name, (shape, _, _) in PARAMETERS.items() if only is None or len(shape) == only}


def steps(optimizer, parameters, gradients):
    for step in gradients:
        for name, parameter in parameters.items():
            parameter.grad = step[name].clone().to(parameter.dtype)
        optimizer.step()


def optimizers():
    """name -> (make, only parameters of so many axes, dtype)"""
    o = torch.optim
    found = {"SGD, momentum": lambda p: o.SGD(p, 0.1, momentum=0.9), "Adam": lambda p: o.Adam(p, 0.1), "Adam, amsgrad": lambda p: o.Adam(p, 0.1, amsgrad=True), "AdamW": lambda p: o.AdamW(p, 0.1),
             "NAdam": lambda p: o.NAdam(p, 0.1), "RAdam": lambda p: o.RAdam(p, 0.1), "Adamax": lambda p: o.Adamax(p, 0.1), "Adagrad": lambda p: o.Adagrad(p, 0.1), "Adadelta": lambda p: o.Adadelta(p, 0.1),
             "RMSprop": lambda p: o.RMSprop(p, 0.1), "RMSprop, centred": lambda p: o.RMSprop(p, 0.1, centered=True, momentum=0.9), "Rprop": lambda p: o.Rprop(p, 0.1), "ASGD": lambda p: o.ASGD(p, 0.1)}
    if hasattr(o, "Adafactor"):
        found["Adafactor (torch)"] = lambda p: o.Adafactor(p, 0.1)
    found = {name: (make, None, torch.float64) for name, make in found.items()}
    if hasattr(o, "Muon"):
        found["Muon"] = (lambda p: o.Muon(p, 0.1), 2, torch.float32)
    try:
        from transformers.optimization import Adafactor
        found["Adafactor (transformers)"] = (lambda p: Adafactor(p, beta1=0.9, relative_step=True, lr=None), None, torch.float64)
    except ImportError:
        pass
    try:
        import schedulefree
        found["AdamW, schedule-free"] = (lambda p: schedulefree.AdamWScheduleFree(p, 0.1), None, torch.float64)
    except ImportError:
        pass
    try:
        import bitsandbytes
        b = bitsandbytes.optim
        for name in ("AdamW32bit", "Adam32bit", "PagedAdamW32bit", "LAMB32bit", "AdEMAMix"):
            found[f"{name}, bitsandbytes"] = (lambda p, kind=getattr(b, name): kind(p, 0.1), None, torch.float32)
    except ImportError:
        pass
    return found


def check_optimizer(what, make, only, dtype, work):
    generator = torch.Generator().manual_seed(1)
    start = named(generator, only)
    before, after = ([named(generator, only) for _ in range(count)] for count in (BEFORE, AFTER))
    here = {name: torch.nn.Parameter(value.to(dtype).clone()) for name, value in start.items()}
    optimizer = make(list(here.items()) if "bitsandbytes" not in what else list(here.values()))
    if hasattr(optimizer, "train"):
        optimizer.train()
    steps(optimizer, here, before)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["param_names"] = list(here)
    torch.save(state, work / "optimizer.pt")
    status, text = regauge("transport", work / "optimizer.pt", "--gauge", work / "g.json", "-o", work / "moved.pt", "--kind", "optimizer", "--force")
    if status != 0:
        return check(f"{what}: moved", False, text.strip()[-160:])

    def resumed(path):
        there = {name: torch.nn.Parameter(moved(name, value.detach().double()).to(dtype)) for name, value in here.items()}
        other = make(list(there.items()) if "bitsandbytes" not in what else list(there.values()))
        if hasattr(other, "train"):
            other.train()
        other.load_state_dict(torch.load(path, weights_only=False))
        steps(other, there, [{name: moved(name, value) for name, value in step.items()} for step in after])
        return there

    right, stale = resumed(work / "moved.pt"), resumed(work / "optimizer.pt")
    steps(optimizer, here, after)
    scale = max((here[n].detach() - start[n]).abs().max().item() for n in here)
    worst, unmoved = (max((there[n].detach().double() - moved(n, here[n].detach().double())).abs().max().item() for n in here) / scale for there in (right, stale))
    limit = 1e-9 if dtype == torch.float64 else 2e-2 if what == "Muon" else 1e-4  # Muon orthogonalises in bfloat16
    check(f"{what}: a step after the move is the move of a step", worst < limit, f"{worst:.1e}; with the state not moved {unmoved:.1e}")
    if what != "ASGD":  # whose average is kept beside the steps, and moves none of them
        check(f"{what}: with the state not moved it is visibly another", unmoved > 10 * max(worst, 1e-4), f"{unmoved:.1e}")


def check_one_state(work):
    """bitsandbytes' optimizers with one state: refused, and moved under the name that the refusal gives it."""
    try:
        import bitsandbytes.optim as b
    except ImportError:
        return
    for what, make, name in (("Lion32bit", lambda p: b.Lion32bit(p, 0.1), "exp_avg"), ("RMSprop32bit", lambda p: b.RMSprop32bit(p, 0.1), "square_avg"), ("Adagrad32bit", lambda p: b.Adagrad32bit(p, 0.1), "square_avg")):
        generator = torch.Generator().manual_seed(1)
        here = {n: torch.nn.Parameter(v.float()) for n, v in named(generator, None).items()}
        optimizer = make(list(here.values()))
        steps(optimizer, here, [named(generator, None) for _ in range(BEFORE)])
        state = optimizer.state_dict()
        for group in state["param_groups"]:
            group["param_names"] = list(here)
        torch.save(state, work / "one.pt")
        status, text = regauge("transport", work / "one.pt", "--gauge", work / "g.json", "-o", work / "no.pt", "--kind", "optimizer", "--force")
        check(f"{what}, bitsandbytes: refused, as the file does not say what its state is", status != 0 and f"{name} (" in text, text.strip()[-160:])
        for one in state["state"].values():
            inner = one["__bnb_optimizer_quant_state__"]
            inner[name] = inner.pop("state1")
        torch.save(state, work / "renamed.pt")
        status, text = regauge("transport", work / "renamed.pt", "--gauge", work / "g.json", "-o", work / "moved.pt", "--kind", "optimizer", "--force")
        there = torch.load(work / "moved.pt", weights_only=False)["state"] if status == 0 else {}
        key = "__bnb_optimizer_quant_state__"
        right = bool(there) and all(torch.equal(there[i][key][name], moved(n, state["state"][i][key][name]) if name == "exp_avg" else moved_squares(n, state["state"][i][key][name])) for i, n in enumerate(here))
        check(f"{what}, bitsandbytes: moved under the name that the refusal gives it", right, text.strip()[-160:])


def check_eight_bits(work):
    try:
        import bitsandbytes.optim as b
    except ImportError:
        return
    for make in (b.AdamW8bit, b.Lion8bit, b.AdEMAMix8bit):
        here = torch.nn.Parameter(torch.randn(64, D, dtype=torch.float32))
        optimizer = make([here], 0.1, min_8bit_size=16)
        steps(optimizer, {"w": here}, [{"w": torch.randn(64, D)}])
        torch.save(optimizer.state_dict(), work / "eight.pt")
        status, text = regauge("transport", work / "eight.pt", "--gauge", work / "g.json", "-o", work / "no.pt", "--kind", "optimizer", "--force")
        check(f"{make.__name__}, bitsandbytes: refused as 8-bit state", status != 0 and "8-bit optimizer state" in text, text.strip()[-160:])


def main():
    print("torch", torch.__version__)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        write_gauge(GAUGE, work / "g.json")
        for what, (make, only, dtype) in optimizers().items():
            try:
                check_optimizer(what, make, only, dtype, work)
            except Exception as error:  # an optimizer that does not run here is no finding about its state
                check(f"{what}: runs", False, f"{type(error).__name__}: {error}"[:160])
        check_one_state(work), check_eight_bits(work)
    finish()


main()
