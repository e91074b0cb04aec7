//! The scripts by which shells ask the plugin for candidates.

use crate::plugin::cli::CompletedShell;

/// The script of a shell. It is for the name `kubectl-keyturn`; kubectl has its own for `kubectl
/// keyturn`.
pub(in crate::plugin) fn script(shell: CompletedShell) -> &'static str {
    match shell {
        CompletedShell::Bash => BASH,
        CompletedShell::Zsh => ZSH,
        CompletedShell::Fish => FISH,
    }
}

const BASH: &str = r#"# Completion of kubectl-keyturn for bash: source <(kubectl keyturn completion bash)
# For `kubectl keyturn`, kubectl's own completion asks a program of this name in PATH:
#   ln -s kubectl-keyturn kubectl_complete-keyturn
_kubectl_keyturn() {
    local lines directive line
    mapfile -t lines < <(kubectl-keyturn __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [ ${#lines[@]} -gt 0 ] || return
    directive=${lines[-1]}
    unset 'lines[-1]'
    COMPREPLY=()
    for line in "${lines[@]}"; do COMPREPLY+=("${line%%$'\t'*}"); done
    if [ "$directive" = :0 ] && [ ${#COMPREPLY[@]} = 0 ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}
complete -F _kubectl_keyturn kubectl-keyturn
"#;

const ZSH: &str = r#"#compdef kubectl-keyturn
# Completion of kubectl-keyturn for zsh: source <(kubectl keyturn completion zsh)
# For `kubectl keyturn`, kubectl's own completion asks a program of this name in PATH:
#   ln -s kubectl-keyturn kubectl_complete-keyturn
_kubectl_keyturn() {
    local -a lines
    local directive
    lines=("${(@f)$(kubectl-keyturn __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    directive=${lines[-1]}
    lines=("${(@)lines[1,-2]}")
    lines=("${(@)lines//:/\\:}")
    lines=("${(@)lines//$'\t'/:}")
    if [[ $directive == ":0" && ${#lines} -eq 0 ]]; then
        _files
    else
        _describe 'kubectl keyturn' lines
    fi
}
compdef _kubectl_keyturn kubectl-keyturn
"#;

const FISH: &str = r#"# Completion of kubectl-keyturn for fish: kubectl keyturn completion fish | source
# For `kubectl keyturn`, kubectl's own completion asks a program of this name in PATH:
#   ln -s kubectl-keyturn kubectl_complete-keyturn
function __kubectl_keyturn
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (kubectl-keyturn __complete -- $words[2..-1] 2>/dev/null)
    if test (count $lines) -eq 1 -a "$lines[1]" = ':0'
        __fish_complete_path (commandline -ct)
    else
        string match -rv '^:[0-9]+$' -- $lines
    end
end
complete -c kubectl-keyturn -f -a '(__kubectl_keyturn)'
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs a script of a shell beside a program that knows alice and bob. Returns what the shell
    /// shows, and the arguments of the program.
    fn completed(shell: &str, options: &[&str], script: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kubectl-keyturn");
        let answer = "#!/bin/sh\necho \"$@\" >\"$0.asked\"\nprintf 'alice\\tabout: her\\nbob\\n:4\\n'\n";
        std::fs::write(&program, answer).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = folder.path().display();
        let finds = if shell == "fish" { format!("set -x PATH {path} $PATH") } else { format!("PATH={path}:$PATH") };
        let script = format!("{finds}\n{script}");
        let mut command = Command::new(shell);
        command.args(options).arg("-c").arg(script).env("HOME", folder.path());
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let asked = std::fs::read_to_string(folder.path().join("kubectl-keyturn.asked"));
        (shown, asked.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
    }

    #[test]
    fn the_script_of_bash_takes_the_candidates_of_the_program() {
        let test = format!(
            "{BASH}COMP_WORDS=(kubectl-keyturn why ''); COMP_CWORD=2; _kubectl_keyturn; echo \"${{COMPREPLY[*]}}\""
        );
        let (shown, asked) = completed("bash", &["-eu"], &test);
        assert_eq!((shown.as_str(), asked.as_str()), ("alice bob\n", "__complete -- why \n"));
    }

    #[test]
    #[ignore = "needs zsh: make deps"]
    fn the_script_of_zsh_takes_the_candidates_of_the_program() {
        // The functions of zsh's completion work only while somebody types.
        let test = format!(
            "compdef() {{ : }}; _describe() {{ print -rl -- \"${{(@P)2}}\" }}; _files() {{ print files }}\n{ZSH}words=(kubectl-keyturn why ''); \
             CURRENT=3; _kubectl_keyturn"
        );
        let (shown, asked) = completed("zsh", &["-f"], &test);
        assert_eq!((shown.as_str(), asked.as_str()), ("alice:about\\: her\nbob\n", "__complete -- why \n"));
    }

    #[test]
    #[ignore = "needs fish: make deps"]
    fn the_script_of_fish_takes_the_candidates_of_the_program() {
        let test = format!("{FISH}complete -C 'kubectl-keyturn why '");
        let (shown, asked) = completed("fish", &["--no-config"], &test);
        assert_eq!((shown.as_str(), asked.as_str()), ("alice\tabout: her\nbob\n", "__complete -- why \n"));
    }

    #[test]
    fn each_script_names_the_program_that_kubectl_asks() {
        for shell in [CompletedShell::Bash, CompletedShell::Zsh, CompletedShell::Fish] {
            assert!(script(shell).contains(super::super::FILE_NAME), "{shell:?}");
        }
    }
}
