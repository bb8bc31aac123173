//go:build linux

package packaging

import (
	"path/filepath"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

const (
	bashCompletions = "/usr/share/bash-completion/completions"
	// zshCompletions and debianZshCompletions are directories of zsh's $fpath.
	zshCompletions       = "/usr/share/zsh/site-functions"
	debianZshCompletions = "/usr/share/zsh/vendor-completions"
)

// completions are command lines, and what they are after the tab key.
var completions = []struct{ program, line, want string }{
	{"kamailio_exporter", "kamailio_exporter --kamailio.sc", "kamailio_exporter --kamailio.scrape-uri"},
	{"kamailio_exporter", "kamailio_exporter --log.level=d", "kamailio_exporter --log.level=debug"},
	{"kamailio_exporter", "kamailio_exporter --log.level d", "kamailio_exporter --log.level debug"},
	{"kamailio_exporter", "kamailio_exporter ch", "kamailio_exporter check"},
	{"kamailio_exporter", "kamailio_exporter check --kamailio.sc", "kamailio_exporter check --kamailio.scrape-uri"},
	{"kamrpc", "kamrpc -u tcp://127.0.0.1:2049 --l", "kamrpc -u tcp://127.0.0.1:2049 --list"},
}

// unpackDeb unpacks this machine's deb and returns the directory.
func unpackDeb(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", only(t, "*_"+thisPlatform(t).deb+".deb"), root)
	return root
}

// completeInBash completes the line $3 with the function of the script $1 for the command $2, and prints the line that bash
// makes of it. Bash splits COMP_WORDS at = and : too.
const completeInBash = `
source "$1"
COMP_LINE=$3 COMP_POINT=${#3}
split=${3//=/ = } split=${split//:/ : }
COMP_WORDS=($split) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
definition=$(complete -p "$2")
[[ $definition =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$2"
echo "${3%"${COMP_WORDS[COMP_CWORD]}"}${COMPREPLY[@]}"
`

func TestBashCompletion(t *testing.T) {
	root := unpackDeb(t)
	t.Setenv("PATH", root+"/usr/bin:/usr/bin:/bin")
	for _, test := range completions {
		script := filepath.Join(root, bashCompletions, test.program)
		output(t, "bash", "-n", script)
		wantText(t, test.line, output(t, "bash", "-e", "-c", completeInBash, "bash", script, test.program, test.line), test.want)
	}
}

var zsh = debian.Set{Name: "zsh", Packages: []string{"zsh"}, Programs: []string{"zsh"}, DataDirs: []string{"zsh"}}

// completeInZsh presses the tab key after the text $3 in a zsh with a terminal, whose $fpath has the directory $2, and prints
// the line that is there then. $1 is the directory of the set. In the terminal, Ctrl-X prints the line.
const completeInZsh = `
setup='module_path=($1/root/usr/lib/*/zsh/*(/)) fpath=($2 $1/root/usr/share/zsh/functions/**/*(/))'
eval $setup
zmodload zsh/zpty
zpty shell TERM=dumb ${(q)1}/bin/zsh -f -i -s ${(q)1} ${(q)2}
zpty -w shell $setup
zpty -w shell 'show() print -r -- "<$BUFFER>"; zle -N show; bindkey "^X" show'
zpty -w shell "autoload -Uz compinit && compinit -u -D && print rea''dy"
zpty -r shell output '*ready*'
zpty -w -n shell $3$'\t\x18'
zpty -r shell output '*<*>*'
print -r -- ${${output##*<}%%>*}
`

func TestZshCompletion(t *testing.T) {
	root := unpackDeb(t)
	program := tool(t, zsh, "zsh")
	t.Setenv("PATH", root+"/usr/bin:/usr/bin:/bin")
	dir := filepath.Join(root, debianZshCompletions)
	for _, test := range completions {
		output(t, program, "-n", filepath.Join(dir, "_"+test.program))
		set := filepath.Join(filepath.Dir(program), "..")
		wantText(t, test.line, output(t, program, "-f", "-e", "-c", completeInZsh, "zsh", set, dir, test.line), test.want)
	}
}
