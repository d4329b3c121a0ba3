#include "transport/named_symmetry.hpp"

#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"

namespace regauge {

void addSymmetry(Plan& plan, const std::optional<NamedModel>& model, const std::string& where) {
    if (model && (model->known || model->family)) {
        const std::string& title = model->known ? model->known->title : model->family->title;
        const std::string& permutationOnly =
            model->known ? model->known->permutationOnly : model->family->alwaysPermutationOnly;
        const std::string said = model->key + " says " + model->name + " (" + title + "): ";
        if (model->known && !model->known->refuse.empty())
            throw Error(ErrorCode::unsupported, where,
                        said + model->known->refuse + ", so the model has no other coordinates to move to");
        if (!permutationOnly.empty()) plan.permutationOnlyReason = said + permutationOnly;
        return;
    }
    if (!plan.permutationOnlyReason.empty()) return;
    plan.description += model ? "; the symmetry of its model, " + model->name + ", is not known" : "; model not said";
    plan.description += ": single signs hold only where no norm subtracts a mean (RMSNorm, not LayerNorm)";
}

}  // namespace regauge
