// The subcommand that prints a shell's completion: the commands, their options, and files everywhere else.
#include <memory>

#include "base/shell_words.hpp"
#include "jobs.hpp"

namespace regauge {
namespace {

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

// "-o --output --force", of one subcommand.
std::string optionsOf(const CLI::App& command) {
    std::vector<std::string> words;
    for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_snames()) words.push_back("-" + name);
        for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    }
    return joined(words);
}

std::string bashScript(const std::vector<CLI::App*>& commands) {
    std::string names, cases;
    for (const CLI::App* command : commands) {
        names += (names.empty() ? "" : " ") + command->get_name();
        cases += "        " + command->get_name() + ") words=" + inQuotes(optionsOf(*command)) + " ;;\n";
    }
    return "# regauge completion bash > ~/.local/share/bash-completion/completions/regauge\n"
           "_regauge() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} words\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
           "        COMPREPLY=($(compgen -W " +
           inQuotes(names + " --help --version") +
           " -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case ${COMP_WORDS[1]} in\n" +
           cases +
           "    esac\n"
           "    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); fi\n"
           "}\n"
           "complete -o default -F _regauge regauge\n";
}

std::string zshScript(const std::vector<CLI::App*>& commands) {
    std::string descriptions, cases;
    for (const CLI::App* command : commands) {
        descriptions += "        " + inQuotes(command->get_name() + ":" + command->get_description()) + "\n";
        cases += "        " + command->get_name() + ") options=(" + optionsOf(*command) + ") ;;\n";
    }
    return "#compdef regauge\n"
           "# regauge completion zsh > \"${fpath[1]}/_regauge\"\n"
           "_regauge() {\n"
           "    local -a commands options\n"
           "    commands=(\n" +
           descriptions +
           "    )\n"
           "    if (( CURRENT == 2 )); then\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    case ${words[2]} in\n" +
           cases +
           "    esac\n"
           "    if [[ ${PREFIX} == -* ]]; then compadd -- $options; else _files; fi\n"
           "}\n"
           "compdef _regauge regauge\n";
}

std::string fishScript(const std::vector<CLI::App*>& commands) {
    std::string text = "# regauge completion fish > ~/.config/fish/completions/regauge.fish\n";
    for (const CLI::App* command : commands) {
        const std::string name = command->get_name();
        text += "complete -c regauge -n __fish_use_subcommand -f -a " + name + " -d " +
                inQuotes(command->get_description()) + "\n";
        for (const CLI::Option* option : command->get_options()) {
            std::string names;
            for (const std::string& letter : option->get_snames()) names += " -s " + letter;
            for (const std::string& word : option->get_lnames()) names += " -l " + word;
            if (!names.empty())
                text += "complete -c regauge -n '__fish_seen_subcommand_from " + name + "'" + names +
                        (option->get_items_expected_max() > 0 ? " -r" : "") + " -d " +
                        inQuotes(option->get_description()) + "\n";
        }
    }
    return text;
}

}  // namespace

RunJob addCompletion(CLI::App& command) {
    auto shell = std::make_shared<std::string>();
    command.add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    return [shell, &command](const Job& job) {
        const std::vector<CLI::App*> commands = command.get_parent()->get_subcommands([](CLI::App*) { return true; });
        job.print(*shell == "bash"  ? bashScript(commands)
                  : *shell == "zsh" ? zshScript(commands)
                                    : fishScript(commands));
        return 0;
    };
}

}  // namespace regauge
