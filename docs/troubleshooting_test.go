//go:build linux

package docs_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// words are a text as one line, without the marks of Markdown and logfmt.
func words(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("`", "", `\`, "").Replace(text)), " ")
}

var verb = regexp.MustCompile(`%[0-9]*[a-z]`)

// TestAdviceIsInThePage looks for every text of which the log's advice is made.
func TestAdviceIsInThePage(t *testing.T) {
	page := words(readPage(t, "troubleshooting.md"))
	found := 0
	for _, file := range []string{"advice.go", "owner_unix.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../internal/scrape/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && isContains(call) {
				return false // it looks for Kamailio's words, and says none
			}
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || !strings.Contains(literal.Value, " ") {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range verb.Split(text, -1) {
				found++
				if part = words(part); !strings.Contains(page, part) {
					t.Errorf("the page does not have %q", part)
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("there are only %d texts", found)
	}
}

// sources are the directories whose errors and log lines users see. What rpc/dial says about URIs stands behind one text.
var sources = []string{
	"../cmd/kamailio_exporter", "../internal/collector", "../internal/scrape", "../internal/web", "../internal/xhttpprom",
}

// talkers are the functions that make an error or a line of the log, by their last name.
var talkers = []string{"New", "Errorf", "Error", "Warn", "logFailure"}

// notSaid are texts that users do not see, and why.
var notSaid = map[string]string{
	"make the landing page: %w": "its template is the program's own",
}

// TestEveryErrorIsInThePage looks for something about every error and every line of the log that the program can say.
func TestEveryErrorIsInThePage(t *testing.T) {
	page := words(readPage(t, "troubleshooting.md"))
	var titles []string
	for _, match := range regexp.MustCompile("(?m)^##.*`.*$").FindAllString(readPage(t, "troubleshooting.md"), -1) {
		for _, title := range code.FindAllStringSubmatch(match, -1) {
			titles = append(titles, words(title[1]))
		}
	}
	said := texts(t)
	if len(said) < 20 {
		t.Fatalf("there are only %d texts", len(said))
	}
	for _, text := range said {
		inTitle := func(title string) bool { return strings.Contains(words(text), title) }
		inPage := func(part string) bool {
			return len(strings.Fields(part)) > 2 && strings.Contains(page, strings.Trim(words(part), ":;, "))
		}
		if notSaid[text] == "" && !slices.ContainsFunc(titles, inTitle) && !slices.ContainsFunc(verb.Split(text, -1), inPage) {
			t.Errorf("the page does not have %q", text)
		}
	}
}

// texts are the first texts that are given to talkers, of more than two words.
func texts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range sources {
		names, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(names) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(node ast.Node) bool {
				if text, ok := textOf(node); ok && len(strings.Fields(verb.ReplaceAllString(text, ""))) > 2 {
					all = append(all, text)
				}
				return true
			})
		}
	}
	return all
}

// textOf is the first text of a call of a talker.
func textOf(node ast.Node) (string, bool) {
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || !slices.Contains(talkers, function.Sel.Name) {
		return "", false
	}
	argument := call.Args[0]
	if sum, ok := argument.(*ast.BinaryExpr); ok {
		argument = sum.X
	}
	literal, ok := argument.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

func isContains(call *ast.CallExpr) bool {
	function, ok := call.Fun.(*ast.SelectorExpr)
	return ok && function.Sel.Name == "Contains"
}

// TestErrorsAreSorted fails for an error that is not where it would be looked for.
func TestErrorsAreSorted(t *testing.T) {
	for _, section := range strings.Split(readPage(t, "troubleshooting.md"), "\n## ")[1:] {
		var errors []string
		for _, match := range regexp.MustCompile("(?m)^### `(.+)$").FindAllStringSubmatch(section, -1) {
			errors = append(errors, strings.ToLower(match[1]))
		}
		if !slices.IsSorted(errors) {
			t.Errorf("not sorted: %q", errors)
		}
	}
}

// checkMessage looks for a message in what the exporter says, and in the page.
func checkMessage(t *testing.T, said, message string) {
	t.Helper()
	if !strings.Contains(words(said), message) {
		t.Errorf("the exporter does not say %q, but\n%s", message, said)
	}
	if !strings.Contains(words(readPage(t, "troubleshooting.md")), message) {
		t.Errorf("the page does not have %q", message)
	}
}

// TestErrorsAtTheStart provokes what ends the exporter at once.
func TestErrorsAtTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	wrong := filepath.Join(t.TempDir(), "wrong.yml")
	writeFile(t, wrong, "no_such_field: 1\n")
	for message, args := range map[string][]string{
		"address already in use: something listens there already": {"-l", taken.Addr().String()},
		"a name is missing between commas":                        {"-m", "auto,"},
		"has no short form":                                       {"--kamailio.short", "tm.stats"},
		"is no time to wait":                                      {"-t", "0s"},
		"is no time, use for example":                             {"-t", "5"},
		"is no URI of a Kamailio":                                 {"-u", "/run/kamailio/kamailio_ctl"},
		"is not answered over JSON-RPC":                           {"-u", "http://127.0.0.1:5060/RPC", "-m", "ctl.connections"},
		"names no dialog profile":                                 {"--kamailio.dialog-profiles", "a:"},
		"names no key of a hash table":                            {"--kamailio.htable-keys", "a"},
		"needs --kamailio.dialog-profiles too":                    {"-m", "dlg.profile_get_size"},
		"needs --kamailio.htable-keys too":                        {"-m", "htable.get"},
		"no socket activation file descriptors found":             {"--web.systemd-socket"},
		"no such file or directory":                               {"--web.config.file", "/no/such.yml"},
		"unknown long flag":                                       {"--socketPath", "/run/kamailio/kamailio_ctl"},
		"unknown method":                                          {"-m", "core.kill"},
		"yaml: unmarshal errors":                                  {"--kamailio.http-config.file", wrong},
	} {
		t.Run(message, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "kamailio_exporter"), args...)
			said, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, not with status 1", err)
			}
			checkMessage(t, string(said), message)
		})
	}
}

// refuses is the configuration of a Kamailio that lets nobody use its JSON-RPC.
const refuses = `
loadmodule "xhttp.so"
event_route[xhttp:request] { xhttp_reply("403", "Forbidden", "text/plain", "no\n"); }
`

// smallBuffers makes ctl refuse large replies.
const smallBuffers = `
modparam("ctl", "binrpc_struct_max_body_size", 1)
modparam("ctl", "binrpc_max_body_size", 2)
`

// TestErrorsOfScrapes provokes errors of scrapes.
func TestErrorsOfScrapes(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Config: smallBuffers})
	unwilling := lab.StartTest(t, lab.Options{Minimal: true, Config: refuses})
	unix, http := k.URI("unix"), "http://"+k.SIPAddr()
	for _, test := range []struct {
		message string
		args    []string
	}{
		{"answered 404 Not Found, and not by JSON-RPC", []string{"-u", http + "/nothing"}},
		{"Kamailio's configuration refuses this host", []string{"-u", unwilling.JSONRPCURL()}},
		{"nobody whom this host trusts signed Kamailio's certificate", []string{"-u", "https://" + k.TLSAddr() + "/RPC"}},
		{"connect: connection refused", []string{"-u", "unix:" + staleSocket(t)}},
		{"Kamailio ended the connection: if this is its port for TLS", []string{"-u", "http://" + k.TLSAddr() + "/RPC"}},
		{"nothing answered by BINRPC in time", []string{"-u", "tcp://" + k.SIPAddr(), "-t", "500ms"}},
		{"i/o timeout", []string{"-u", "udp://" + k.SIPAddr(), "-t", "500ms"}},
		{"no answer in the time that the scrape had", []string{"-u", "https://" + k.SIPAddr() + "/RPC", "-t", "500ms"}},
		{"connect: no such file or directory", []string{"-u", "unix:/no/such/kamailio_ctl"}},
		{"not BINRPC", []string{"-u", "tcp://" + start(t, "-u", unix).address}},
		{"protocol wrong type for socket", []string{"-u", "unix:" + strings.TrimPrefix(k.URI("unixd"), "unixd:")}},
		{"fault 404: Profile not found", []string{"-u", unix, "-m", "core.uptime", "--kamailio.dialog-profiles", "nobody"}},
		{"fault 500: No such htable", []string{"-u", unix, "-m", "core.uptime", "--kamailio.htable-keys", "nothing=>a"}},
		{"this Kamailio does not have the method", []string{"-u", unix, "-m", "peerstate.stats"}},
		{"fault 500: Internal error", []string{"-u", unix, "-m", "stats.fetch"}},
		{"get http://", []string{"-u", unix, "-m", "core.uptime", "--kamailio.xhttp-prom-url", http + "/nothing"}},
		{"not JSON-RPC", []string{"-u", http + "/metrics"}},
	} {
		t.Run(test.message, func(t *testing.T) {
			e := start(t, test.args...)
			e.scrape()
			checkMessage(t, e.problem(), test.message)
		})
	}
}

func staleSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stale")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	return path
}

// TestErrorsOfAHangingKamailio stops a Kamailio, and then fills the queue of its socket.
func TestErrorsOfAHangingKamailio(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	hangs := start(t, "-u", k.URI("unix"), "-t", "500ms")
	full := start(t, "-u", k.URI("unix"))
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	hangs.scrape()
	checkMessage(t, hangs.problem(), "Kamailio's ctl process did not answer in time")
	for {
		conn, err := net.Dial("unix", strings.TrimPrefix(k.URI("unix"), "unix:"))
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	full.scrape()
	checkMessage(t, full.problem(), "resource temporarily unavailable")
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestErrorsOfPermission asks as a user who may not connect. Root may everything, so it asks as nobody then.
func TestErrorsOfPermission(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	socket := strings.TrimPrefix(k.URI("unix"), "unix:")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(programs(t), "kamailio_exporter"), "-l", "127.0.0.1:0", "-u", "unix:"+socket)
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
		chmod(t, built, 0o755)
		chmod(t, k.Dir, 0o711)
	} else {
		chmod(t, socket, 0)
	}
	e := startExporter(t, cmd)
	e.scrape()
	line := e.problem()
	checkMessage(t, line, "connect: permission denied")
	checkMessage(t, line, "(it belongs to user")
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
