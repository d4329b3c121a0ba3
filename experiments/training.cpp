#include "training.hpp"

#include <cmath>
#include <numbers>

#include "corpus.hpp"

namespace regauge::experiments {
namespace {

using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;
using Dict = c10::impl::GenericDict;
using List = c10::impl::GenericList;

Dict emptyDict() { return Dict(c10::AnyType::get(), c10::AnyType::get()); }
List emptyList() { return List(c10::AnyType::get()); }

std::string stateKey(const torch::Tensor& parameter) { return c10::guts::to_string(parameter.unsafeGetTensorImpl()); }

bool isGain(const std::string& name) { return name.find("norm") != std::string::npos; }

}  // namespace

Trainer::Trainer(const ModelShape& shape, const Schedule& schedule, std::uint64_t seed)
    : schedule_(schedule), model_(shape, seed, schedule.initialScale) {
    makeOptimizer();
}

Trainer::Trainer(const ModelShape& shape, const Schedule& schedule, const std::filesystem::path& folder,
                 torch::ScalarType type)
    : Trainer(shape, schedule, folder, folder / "optimizer.pt", 0, type) {}

Trainer::Trainer(const ModelShape& shape, const Schedule& schedule, const std::filesystem::path& folder,
                 const std::filesystem::path& optimizer, std::int64_t step, torch::ScalarType type)
    : schedule_(schedule), model_(shape, folder, type), step_(step) {
    makeOptimizer();
    if (!optimizer.empty()) loadState(optimizer);
}

void Trainer::makeOptimizer() {
    std::vector<torch::Tensor> matrices, gains;
    for (const auto& [name, parameter] : model_.parameters()) (isGain(name) ? gains : matrices).push_back(parameter);
    const auto options = [&](double decay) {
        auto result = std::make_unique<AdamWOptions>(schedule_.rate);
        result->betas({0.9, 0.95}).weight_decay(decay);
        return result;
    };
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.emplace_back(matrices, options(schedule_.decay));
    groups.emplace_back(gains, options(0));
    optimizer_ = std::make_unique<torch::optim::AdamW>(groups, AdamWOptions(schedule_.rate));
}

double Trainer::step(std::uint64_t stream) {
    const bool tuning = step_ >= schedule_.steps;
    const double done = static_cast<double>(tuning ? step_ - schedule_.steps : step_);
    const double along = done / static_cast<double>(tuning ? schedule_.tuneSteps : schedule_.steps);
    const double rate = (tuning ? schedule_.tuneRate : schedule_.rate) *
                        std::min(1.0, (done + 1) / static_cast<double>(schedule_.warmup)) *
                        (0.1 + 0.9 * 0.5 * (1 + std::cos(std::numbers::pi * along)));
    for (auto& group : optimizer_->param_groups()) static_cast<AdamWOptions&>(group.options()).lr(rate);

    std::vector<std::string> texts;
    for (std::int64_t k = 0; k < schedule_.batch; ++k)
        texts.push_back(window(seedOf({stream, static_cast<std::uint64_t>(step_), static_cast<std::uint64_t>(k)}),
                               static_cast<std::size_t>(model_.shape().context) + 1,
                               tuning ? Text::tasks : Text::everything));
    const torch::Tensor loss = lossOf(model_, tokensOf(texts));
    optimizer_->zero_grad();
    loss.backward();
    std::vector<torch::Tensor> all;
    for (const auto& [name, parameter] : model_.parameters()) all.push_back(parameter);
    torch::nn::utils::clip_grad_norm_(all, 1.0);
    optimizer_->step();
    ++step_;
    return loss.item<double>();
}

// As torch.optim.AdamW.state_dict() of named parameters: numbers in `state`, and in each group what those numbers mean.
void Trainer::save(const std::filesystem::path& folder) const {
    model_.save(folder);
    Dict state = emptyDict();
    List groups = emptyList();
    std::int64_t number = 0;
    for (const bool gains : {false, true}) {
        List numbers = emptyList(), names = emptyList();
        for (const auto& [name, parameter] : model_.parameters()) {
            if (isGain(name) != gains) continue;
            const auto& kept = static_cast<const AdamWParamState&>(*optimizer_->state().at(stateKey(parameter)));
            Dict entry = emptyDict();
            entry.insert("step", torch::tensor(static_cast<float>(kept.step())));
            entry.insert("exp_avg", kept.exp_avg());
            entry.insert("exp_avg_sq", kept.exp_avg_sq());
            state.insert(number, entry);
            numbers.push_back(number++);
            names.push_back(name);
        }
        const auto& options = static_cast<const AdamWOptions&>(optimizer_->param_groups()[gains ? 1 : 0].options());
        Dict group = emptyDict();
        group.insert("lr", options.lr());
        group.insert("betas", c10::ivalue::Tuple::create({std::get<0>(options.betas()), std::get<1>(options.betas())}));
        group.insert("eps", options.eps());
        group.insert("weight_decay", options.weight_decay());
        group.insert("amsgrad", false);
        group.insert("params", numbers);
        group.insert("param_names", names);
        groups.push_back(group);
    }
    Dict top = emptyDict();
    top.insert("state", state);
    top.insert("param_groups", groups);
    writePickle(folder / "optimizer.pt", top);
}

void Trainer::loadState(const std::filesystem::path& file) {
    const NamedTensors stored = readTensors(file);
    std::int64_t number = 0;
    for (const bool gains : {false, true})
        for (const auto& [name, parameter] : model_.parameters()) {
            if (isGain(name) != gains) continue;
            const std::string entry = "state." + std::to_string(number++) + ".";
            step_ = static_cast<std::int64_t>(find(stored, entry + "step").item<double>());
            auto state = std::make_unique<AdamWParamState>();
            state->step(step_);
            state->exp_avg(find(stored, entry + "exp_avg").to(parameter.scalar_type()).clone());
            state->exp_avg_sq(find(stored, entry + "exp_avg_sq").to(parameter.scalar_type()).clone());
            optimizer_->state()[stateKey(parameter)] = std::move(state);
        }
}

}  // namespace regauge::experiments
