package cli

import (
	"slices"
	"strings"
)

// CompletionFlag is the first argument of a command line to complete. The completion scripts run the program with it and
// the words up to the cursor; the program prints the words that can replace the last one, one on a line.
const CompletionFlag = "--completion-bash"

// bashCompletion is the template for --completion-script-bash. kingpin's own template does not complete after an argument with
// a colon, because bash splits words at colons, and it prints the program's errors into the command line.
const bashCompletion = `# bash completion for {{.App.Name}}
_{{.App.Name}}() {
    local line=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} words options
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    options=$("${words[0]/#\~/$HOME}" ` + CompletionFlag + ` "${words[@]:1}" 2>/dev/null)
    COMPREPLY=($(compgen -W "$options" -- "${current#=}"))
}
complete -F _{{.App.Name}} -o default {{.App.Name}}
`

// zshCompletion is the template for --completion-script-zsh. The script can be a file in a directory of $fpath, which zsh runs
// as the body of the function when it is first called, or be read with source. In the first case kingpin's own template
// completes nothing in that call.
const zshCompletion = `#compdef {{.App.Name}}
_{{.App.Name}}() {
    local -a matches
    matches=(${(f)"$(${~words[1]} ` + CompletionFlag + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    [[ $PREFIX == --*=* ]] && compset -P '*='
    compadd -a matches || _files
}
if [[ $funcstack[1] == _{{.App.Name}} ]]; then
    _{{.App.Name}} "$@"
else
    compdef _{{.App.Name}} {{.App.Name}}
fi
`

// completionArgs returns args, which is a command line to complete, with --flag=value at its end as two arguments: kingpin
// completes no other form of a flag with a value.
func completionArgs(args []string) []string {
	last := len(args) - 1
	if flag, value, ok := strings.Cut(args[last], "="); ok && strings.HasPrefix(flag, "--") {
		return append(slices.Clone(args[:last]), flag, value)
	}
	return args
}
