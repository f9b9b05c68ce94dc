/** `celeriac completions`: lets a shell complete command lines. Its script asks this command at each press of Tab. */
import { Argument, Command } from "commander";
import { candidates } from "./candidates.ts";
import { withExamples } from "./examples.ts";

/**
 * What each shell is to run once. The words of the line up to the cursor go to this command, and lines come back: a
 * candidate and, after a tab, what it is; or `:files` or `:folders`, which a shell completes better by itself.
 */
const scripts = {
  bash: `# Completion for bash 4 and newer. In ~/.bashrc:  source <(celeriac completions bash)
_celeriac() {
  local value about current="$2"
  [ "$current" = "=" ] && current=
  COMPREPLY=()
  while IFS=$'\\t' read -r value about; do
    case "$value" in
      :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
      :folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
      *) COMPREPLY+=("$value") ;;
    esac
  done < <("$1" completions bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _celeriac celeriac`,
  zsh: `#compdef celeriac
# Completion for zsh. In ~/.zshrc, after compinit:  source <(celeriac completions zsh)
_celeriac() {
  local value about files
  local -a found
  while IFS=$'\\t' read -r value about; do
    case "$value" in
      (:files) files=(_files) ;;
      (:folders) files=(_files -/) ;;
      (*) found+=("\${value//:/\\\\:}:$about") ;;
    esac
  done < <("\${words[1]}" completions zsh -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  if (( $#files )); then
    compset -P '--*='
    $files
  else
    _describe 'celeriac' found
  fi
}
if [[ "$funcstack[1]" = _celeriac ]]; then _celeriac "$@"; else compdef _celeriac celeriac; fi`,
  fish: `# Completion for fish. Once:  celeriac completions fish > ~/.config/fish/completions/celeriac.fish
function __celeriac
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l flag (string match -r -- '^--[^=]*=' "$current")
    set -l path (string replace -- "$flag" '' "$current")
    for line in ($words[1] completions fish -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$path" | string replace -r '^' "$flag"
            case :folders
                __fish_complete_directories "$path" | string replace -r '^' "$flag"
            case '*'
                echo $line
        end
    end
end
complete -c celeriac -f -a '(__celeriac)'`,
} as const;

type Shell = keyof typeof scripts;

/** Makes the command. */
export function completionsCommand(): Command {
  const command = new Command("completions")
    .summary("print what lets a shell complete command lines")
    .description(
      "Prints a script with which a shell completes commands, flags, files, and the tasks of -A. The script asks " +
        "this command, with the words of the line so far, for what could stand in the last one's place.",
    )
    .addArgument(new Argument("<shell>", "whose script").choices(Object.keys(scripts)))
    .argument("[words...]", "the words after celeriac, for the script's own use")
    .action(print);
  return withExamples(command, [
    ["celeriac completions fish > ~/.config/fish/completions/celeriac.fish", "once, for fish"],
    ["source <(celeriac completions bash)", "in ~/.bashrc"],
    ["source <(celeriac completions zsh)", "in ~/.zshrc, after compinit"],
  ]);
}

async function print(shell: Shell, words: string[], _flags: unknown, command: Command): Promise<void> {
  if (words.length === 0) return console.log(scripts[shell]);
  const found = await candidates(command.parent!, words);
  // A shell that finds nothing is not to beep about an empty line.
  if (found.length > 0) {
    console.log(found.map(({ value, about }) => about ? `${value}\t${about}` : value).join("\n"));
  }
}
