// Package cli parses the command lines of both programs. It is kingpin with four
// differences: an argument that begins with @ is an ordinary argument, the error of a
// wrong value names the flag, printed errors have no control characters, and manual
// pages and completion scripts have templates of this package.
package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
)

// setGlobals sets what is the same for all applications, because kingpin has no settings for one.
var setGlobals = sync.OnceFunc(func() {
	// By default kingpin replaces an argument @FILE by the lines of the file, flags
	// included. Here @ is an ordinary character, which values of Kamailio's hash
	// tables can start with.
	kingpin.EnableFileExpansion = false
	kingpin.ManPageTemplate = manPage
	kingpin.BashCompletionTemplate = bashCompletion
	kingpin.ZshCompletionTemplate = zshCompletion
	useModuleVersion()
})

// New returns an application with the flags --help, -h and --version, which print to
// standard output. It also sets the version of package prometheus/common/version.
func New(name, help string) *kingpin.Application {
	setGlobals()
	app := kingpin.New(name, help)
	app.UsageFuncs(manPageFuncs)
	app.HelpFlag.Short('h').Help("Show this help.")
	app.Version(version.Print(name))
	app.VersionFlag.Help("Show the version.")
	app.UsageWriter(usageWriter{os.Stdout, name})
	return app
}

// usageWriter writes help to out. If that fails, it ends the program with an error, where kingpin would panic.
type usageWriter struct {
	out     io.Writer
	program string
}

// Write implements io.Writer.
func (w usageWriter) Write(text []byte) (int, error) {
	n, err := w.out.Write(text)
	if err != nil {
		Fatal(w.program, err)
	}
	return n, nil
}

// Parse sets the flags and arguments of app. args does not include the program's name.
// An error names the wrong flag, its value, and the allowed values. Parse wraps the
// values of the flags, so no flag may be added after it. If the first of args is
// CompletionFlag, Parse prints the completions and ends the program with status 0.
func Parse(app *kingpin.Application, args []string) error {
	for _, flag := range app.Model().Flags {
		app.GetFlag(flag.Name).SetValue(&namedValue{flag.Value, flag.Name})
	}
	if len(args) > 0 && args[0] == CompletionFlag {
		_, err := app.Parse(completionArgs(args))
		return err
	}
	args, err := prepare(app, args)
	if err != nil {
		return err
	}
	_, err = app.Parse(args)
	if err == nil {
		return nil
	}
	if argument, ok := strings.CutPrefix(err.Error(), "unexpected "); ok {
		return &ArgumentError{argument}
	}
	return err
}

// ArgumentError is the error of an argument that is neither a flag nor the value of one.
type ArgumentError struct {
	// Argument is the argument. It may have a password, which Error does not show.
	Argument string
}

func (e *ArgumentError) Error() string {
	return fmt.Sprintf("unexpected argument %q", Redacted(e.Argument))
}

// Fatal prints each error on a line of standard error, and ends the program with status 1.
func Fatal(program string, errs ...error) {
	for _, err := range errs {
		fmt.Fprintf(os.Stderr, "%s: error: %s\n", program, Printable(err.Error()))
	}
	os.Exit(1)
}

// prepare checks and changes arguments that kingpin misreads: it reads the value of a
// boolean flag as an argument, and a negative number as flags. It stops at the first
// argument that is not a flag.
func prepare(app *kingpin.Application, args []string) ([]string, error) {
	flags := map[string]*kingpin.FlagModel{}
	for _, flag := range app.Model().Flags {
		flags["--"+flag.Name] = flag
		flags["--no-"+flag.Name] = flag
		flags["-"+string(flag.Short)] = flag
	}
	var prepared []string
	for len(args) > 0 && args[0] != "--" && strings.HasPrefix(args[0], "-") {
		arg := args[0]
		args = args[1:]
		name, value, hasValue := strings.Cut(arg, "=")
		flag := flags[name]
		switch {
		case flag == nil:
		case flag.IsBoolFlag():
			if hasValue {
				return nil, fmt.Errorf("--%[1]s: the flag takes no value, not %[2]q: use --%[1]s or --no-%[1]s", flag.Name, value)
			}
		case !hasValue && len(args) > 0 && IsNegative(args[0]):
			if strings.HasPrefix(arg, "--") {
				arg += "="
			}
			arg += args[0]
			args = args[1:]
		case !hasValue && len(args) > 0:
			prepared = append(prepared, arg)
			arg = args[0]
			args = args[1:]
		}
		prepared = append(prepared, arg)
	}
	return append(prepared, args...), nil
}

// IsNegative reports whether an argument starts like a negative number, so that it
// cannot be a flag.
func IsNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] == '.' || '0' <= arg[1] && arg[1] <= '9')
}

// Redacted returns a URI, which may be malformed, without the parts that can be a
// password: the text before an @, and the query. If it cannot find these parts, it
// returns only an ellipsis.
func Redacted(uri string) string {
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		if strings.Contains(uri[i:], "@") {
			return "…"
		}
		uri = uri[:i]
	}
	if i := strings.LastIndexByte(uri, '@'); i >= 0 {
		return "…" + uri[i:]
	}
	return uri
}

// namedValue is the value of a flag. Its errors have the name of the flag, which those
// of kingpin do not have.
type namedValue struct {
	kingpin.Value
	flag string
}

// Set sets the value.
func (v *namedValue) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return fmt.Errorf("--%s: %w", v.flag, err)
	}
	return nil
}

// IsBoolFlag reports whether the flag takes no value.
func (v *namedValue) IsBoolFlag() bool {
	b, ok := v.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// IsCumulative reports whether the flag may be repeated.
func (v *namedValue) IsCumulative() bool {
	list, ok := v.Value.(interface{ IsCumulative() bool })
	return ok && list.IsCumulative()
}
