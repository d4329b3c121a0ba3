// What Python can call: the command with a program's own arrays among the files, and gauges. Everything else is Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "memory.hpp"
#include "mounted_files.hpp"
#include "regauge/command.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge.hpp"
#include "regauge/gauge_file.hpp"
#include "regauge/version.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace regauge::python {
namespace {

// Any array on this machine's processor whose elements lie one after the other; others are refused by the cast.
using InArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using OutArray = nb::ndarray<nb::c_contig, nb::device::cpu>;

std::span<const std::byte> bytesOf(const InArray& array) {
    return {static_cast<const std::byte*>(array.data()), array.nbytes()};
}

// A file made of bytes objects and arrays, none of which is copied. It keeps them alive.
class Mount {
public:
    Mount(std::string path, const nb::sequence& pieces) : path_(std::move(path)) {
        for (nb::handle piece : pieces) {
            if (nb::isinstance<nb::bytes>(piece)) {
                const auto bytes = nb::borrow<nb::bytes>(piece);
                texts_.push_back(bytes);
                pieces_.push_back(std::as_bytes(std::span(bytes.c_str(), bytes.size())));
            } else {
                arrays_.push_back(nb::cast<InArray>(piece, false));
                pieces_.push_back(bytesOf(arrays_.back()));
            }
        }
    }
    const std::string& path() const { return path_; }
    const Pieces& pieces() const { return pieces_; }
    // Where the core reads each array.
    std::vector<std::uintptr_t> addresses() const {
        std::vector<std::uintptr_t> found;
        for (const InArray& array : arrays_) found.push_back(reinterpret_cast<std::uintptr_t>(array.data()));
        return found;
    }

private:
    std::string path_;
    std::vector<nb::bytes> texts_;
    std::vector<InArray> arrays_;
    Pieces pieces_;
};

// Text that names from files may be in, which need not be UTF-8.
nb::object textOf(std::string_view text) {
    return nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

// A file's name as os.listdir gives it.
nb::object nameOf(const std::string& name) {
    return nb::steal(PyUnicode_DecodeFSDefaultAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
}

void raise(const Error& error) {
    const nb::object type = nb::module_::import_("regauge._error").attr("Error");
    const nb::object instance = type(textOf(name(error.code())), textOf(error.where()), textOf(error.what()));
    PyErr_SetObject(type.ptr(), instance.ptr());
    throw nb::python_error();
}

template <class Job>
auto refusing(const Job& job) {
    try {
        return job();
    } catch (const Error& error) {
        raise(error);
        throw;  // not reached
    }
}

constexpr std::chrono::milliseconds betweenReports{50};  // twenty a second: a bar moves smoothly, and Ctrl-C is heard

// Python's side of a job's progress, on the thread that runs it, without the GIL.
class Listener {
public:
    explicit Listener(nb::object callback) : callback_(std::move(callback)) {}

    // False when Ctrl-C was pressed or the callback raised; rethrow() then raises it.
    bool report(std::string_view stage, std::uint64_t done, std::uint64_t total) {
        const auto now = std::chrono::steady_clock::now();
        if (failure_) return false;
        if (now < next_ && done != total) return true;
        next_ = now + betweenReports;
        const nb::gil_scoped_acquire gil;
        try {
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            if (!callback_.is_none()) callback_(std::string(stage), done, total);
            return true;
        } catch (nb::python_error& error) {
            failure_.emplace(std::move(error));
            return false;
        }
    }
    void rethrow() {
        if (failure_) throw std::move(*failure_);
    }

private:
    nb::object callback_;
    std::optional<nb::python_error> failure_;
    std::chrono::steady_clock::time_point next_{};
};

// What a job said, and the files that it made in memory.
struct Answer {
    int status = 0;
    std::string out, err;
    nb::dict files;
};

// `regauge args...` with the mounts among this machine's files. memory_output: the path whose output is handed back
// instead of written; "": none.
Answer run(const std::vector<std::string>& args, const nb::sequence& mounts, const std::string& memoryOutput,
           nb::object progress) {
    MountedFiles files;
    for (nb::handle handle : mounts) {
        const Mount& mount = nb::cast<const Mount&>(handle);
        files.mount(mount.path(), mount.pieces());
    }
    files.keepInMemory(memoryOutput);
    Listener listener(std::move(progress));
    std::optional<Error> refusal;
    Answer answer;
    {
        const nb::gil_scoped_release released;
        Host host{.files = files,
                  .out = [&](std::string_view text) { answer.out += text; },
                  .err = [&](std::string_view text) { answer.err += text; },
                  .threads = std::max(1U, std::thread::hardware_concurrency()),
                  .memory = availableMemory,
                  .progress = [&](std::string_view stage, std::uint64_t done,
                                  std::uint64_t total) { return listener.report(stage, done, total); },
                  .refused = [&](const Error& error) { refusal = error; }};
        answer.status = runCommand(args, host);
    }
    listener.rethrow();
    if (refusal) raise(*refusal);
    for (const auto& [name, bytes] : files.outputs) answer.files[nameOf(name)] = nb::bytes(bytes.data(), bytes.size());
    return answer;
}

// One file, as every output is written: whole or not at all, and in place of nothing that is no file.
void writeFile(const std::string& path, const nb::bytes& content, bool overwrite) {
    const std::span<const std::byte> bytes = std::as_bytes(std::span(content.c_str(), content.size()));
    refusing([&] {
        const nb::gil_scoped_release released;
        const std::unique_ptr<Output> output = NativeFiles().create(path, false, overwrite);
        output->file("").write(bytes);
        output->commit();
    });
}

// The command as a program runs it: its words go to the two callables as they come.
int runProgram(const std::vector<std::string>& args, const nb::callable& out, const nb::callable& err, bool terminal) {
    NativeFiles files;
    bool stop = false;
    const auto say = [](const nb::callable& to, std::string_view text) {
        const nb::gil_scoped_acquire gil;
        to(std::string(text));
    };
    const nb::gil_scoped_release released;
    Host host{.files = files,
              .out = [&](std::string_view text) { say(out, text); },
              .err = [&](std::string_view text) { say(err, text); },
              .errIsTerminal = terminal,
              .cancelled =
                  [&] {
                      const nb::gil_scoped_acquire gil;
                      if (!stop && PyErr_CheckSignals() != 0) {
                          PyErr_Clear();
                          stop = true;
                      }
                      return stop;
                  },
              .threads = std::max(1U, std::thread::hardware_concurrency()),
              .memory = availableMemory};
    return runCommand(args, host);
}

template <class Value>
auto view(const std::vector<Value>& values, nb::handle owner) {
    return nb::ndarray<nb::numpy, const Value, nb::ndim<1>>(values.data(), {values.size()}, owner);
}

// Moves one axis of `in`, whose elements are of the named dtype, into `out`, which has as many bytes.
void move(const GaugeFile& gauge, const std::string& action, const InArray& in, const OutArray& out,
          const std::string& dtype, const std::vector<std::uint64_t>& shape, std::size_t axis) {
    const std::span<std::byte> to{static_cast<std::byte*>(out.data()), out.nbytes()};
    const std::span<const std::byte> from = bytesOf(in);
    refusing([&] {
        const auto type = dtypeFromName(dtype);
        if (!type) throw Error(ErrorCode::wrongDtype, "array", "elements of type " + dtype + " are not known here");
        if (from.size() != to.size()) throw Error(ErrorCode::internal, "array", "input and output differ in size");
        const nb::gil_scoped_release released;
        moveAxis(gauge.residual.gauge, action == "even" ? Action::even : Action::odd, from, to, *type, shape, axis);
    });
}

// The lists of a layer's units and how sure they are; a layer's own gauge keeps it alive.
void bindHidden(nb::module_& module) {
    using Layer = HiddenLayer;
    const auto scores = [](HiddenScores Layer::*kind, std::vector<double> HiddenScores::*list) {
        return [kind, list](nb::handle self) { return view(nb::cast<const Layer&>(self).*kind.*list, self); };
    };
    const auto list = [](auto Layer::*values) {
        return [values](nb::handle self) { return view(nb::cast<const Layer&>(self).*values, self); };
    };
    nb::class_<Layer>(module, "HiddenLayer")
        .def_prop_ro("neurons", list(&Layer::neurons))
        .def_prop_ro("neuron_sign", list(&Layer::neuronSign))
        .def_prop_ro("neuron_scale", list(&Layer::neuronScale))
        .def_prop_ro("kv_heads", list(&Layer::kvHeads))
        .def_prop_ro("heads", list(&Layer::heads))
        .def_prop_ro("turn", list(&Layer::turn))
        .def_prop_ro("free_keys", list(&Layer::freeKeys))
        .def_prop_ro("value", list(&Layer::value))
        .def_prop_ro("neuron_score", scores(&Layer::neuronScores, &HiddenScores::score))
        .def_prop_ro("neuron_margin", scores(&Layer::neuronScores, &HiddenScores::margin))
        .def_prop_ro("neuron_confidence", scores(&Layer::neuronScores, &HiddenScores::confidence))
        .def_prop_ro("head_score", scores(&Layer::headScores, &HiddenScores::score))
        .def_prop_ro("head_margin", scores(&Layer::headScores, &HiddenScores::margin))
        .def_prop_ro("head_confidence", scores(&Layer::headScores, &HiddenScores::confidence));
    nb::class_<HiddenGauge>(module, "HiddenGauge")
        .def(
            "layer", [](const HiddenGauge& self, std::size_t l) -> const Layer& { return self.layers().at(l); }, "l"_a,
            nb::rv_policy::reference_internal)
        .def_prop_ro("shape",
                     [](const HiddenGauge& self) {
                         const HiddenShape& shape = self.shape();
                         return std::tuple(shape.layers, shape.neurons, shape.heads, shape.kvHeads, shape.headDim,
                                           shape.pairs);
                     })
        .def_prop_ro("is_identity", &HiddenGauge::isIdentity)
        .def_prop_ro("fingerprint", &HiddenGauge::fingerprint)
        .def("compare", [](const HiddenGauge& self, const HiddenGauge& other) {
            return refusing([&] {
                const HiddenAgreement found = compare(self, other);
                return std::tuple(found.neurons, found.heads, found.kvHeads);
            });
        });
}

void bindGauges(nb::module_& module) {
    bindHidden(module);
    const auto scores = [](std::vector<double> Alignment::*list) {
        return [list](nb::handle self) { return view(nb::cast<const GaugeFile&>(self).residual.*list, self); };
    };
    nb::class_<GaugeFile>(module, "Gauge")
        .def_static(
            "parse",
            [](const std::string& text, const std::string& where) {
                return refusing([&] { return parseGaugeFile(text, where); });
            },
            "text"_a, "where"_a)
        .def_static(
            "load",
            [](const std::string& path) { return refusing([&] { return readGaugeFile(NativeFiles(), path); }); },
            "path"_a)
        .def("to_json", [](const GaugeFile& self) { return toJson(self); })
        .def("inverse", [](const GaugeFile& self) { return inverse(self); })
        .def("then", [](const GaugeFile& self,
                        const GaugeFile& next) { return refusing([&] { return then(self, next, "gauge"); }); })
        .def("compose", [](const GaugeFile& self,
                           const GaugeFile& next) { return refusing([&] { return compose(self, next, "gauge"); }); })
        .def("compare",
             [](const GaugeFile& self, const GaugeFile& other) {
                 return refusing([&] {
                     const Agreement found = compare(self.residual.gauge, other.residual.gauge);
                     return std::tuple(found.permutation, found.sign, found.both);
                 });
             })
        .def_prop_ro(
            "hidden", [](const GaugeFile& self) { return self.hidden ? &*self.hidden : nullptr; },
            nb::rv_policy::reference_internal)
        .def_prop_ro("d", [](const GaugeFile& self) { return self.residual.gauge.d(); })
        .def_prop_ro("fingerprint", [](const GaugeFile& self) { return self.residual.gauge.fingerprint(); })
        .def_prop_ro("perm",
                     [](nb::handle self) { return view(nb::cast<const GaugeFile&>(self).residual.gauge.perm(), self); })
        .def_prop_ro("sign",
                     [](nb::handle self) { return view(nb::cast<const GaugeFile&>(self).residual.gauge.sign(), self); })
        .def_prop_ro("score", scores(&Alignment::score))
        .def_prop_ro("margin", scores(&Alignment::margin))
        .def_prop_ro("confidence", scores(&Alignment::confidence))
        .def("move", &move, "action"_a, "in_"_a, "out"_a, "dtype"_a, "shape"_a, "axis"_a);
}

}  // namespace
}  // namespace regauge::python

// Not in a namespace: the macro makes the function that Python looks for.
NB_MODULE(_native, module) {
    using namespace regauge;
    using namespace regauge::python;

    module.attr("version") = nb::str(version.data(), version.size());
    nb::list codes;
#define REGAUGE_APPEND(code) codes.append(#code);
    REGAUGE_ERROR_CODES(REGAUGE_APPEND)
#undef REGAUGE_APPEND
    module.attr("error_codes") = nb::tuple(codes);

    nb::class_<Mount>(module, "Mount")
        .def(nb::init<std::string, nb::sequence>(), "path"_a, "pieces"_a)
        .def_prop_ro("path", &Mount::path)
        .def_prop_ro("addresses", &Mount::addresses);

    nb::class_<Answer>(module, "Answer")
        .def_ro("status", &Answer::status)
        .def_ro("out", &Answer::out)
        .def_ro("err", &Answer::err)
        .def_ro("files", &Answer::files);

    bindGauges(module);

    module.def("run", &run, "args"_a, "mounts"_a, "memory_output"_a, "progress"_a.none());
    module.def("write_file", &writeFile, "path"_a, "content"_a, "overwrite"_a);
    module.def("run_program", &runProgram, "args"_a, "out"_a, "err"_a, "terminal"_a);
}
