package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestTargetOfConfigFile calls a method of a target by its name. The server wants the credentials of the target.
func TestTargetOfConfigFile(t *testing.T) {
	t.Parallel()
	uri, requests := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "noc" || password != "PW" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"pong"}`)
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "kamailio_exporter.yml")
	content := "auths: {noc: {basic_auth: {username: noc, password_file: pw}}}\ntargets: [{name: sbc1, uri: '" + uri + "', auth: noc}]\n"
	for name, text := range map[string]string{file: content, filepath.Join(dir, "pw"): "PW\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if stdout, stderr, status := kamrpc(t, "--config.file", file, "-u", "sbc1", "core.echo"); stdout != "\"pong\"\n" || status != 0 {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	// A URI in place of a name gets no credentials.
	checkFails(t, []string{"--config.file", file, "-u", uri, "core.echo"}, "401")
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	checkFails(t, []string{"-u", "sbc1", "core.echo"}, `--uri: "sbc1" is not the URI of a Kamailio`, "the name of a target needs --config.file")
	checkFails(t, []string{"--config.file", file, "-u", "sbc2", "core.echo"}, `--uri: "sbc2" is not the URI of a Kamailio`)
	if err := os.WriteFile(file, []byte("targets: [{name: x}]\ncolor: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkFails(t, []string{"--config.file", file, "-u", "sbc1", "core.echo"}, "kamrpc: error: "+file+":2: unknown key \"color\"")
}

// TestRaw prints texts and numbers as they are, and other replies as JSON.
func TestRaw(t *testing.T) {
	t.Parallel()
	replies := map[string][]any{
		"text": {"a \"b\"\x1b[0m"}, "number": {-5}, "float": {1.5}, "list": {"a", 2}, "array": {[]any{"a", "b"}}, "struct": {rpc.Members{{Name: "a", Value: 1}}},
		"mixed": {"a", rpc.Members{{Name: "a", Value: 1}}}, "none": {},
	}
	uri := serve(t, func(_ context.Context, call rpc.Call) ([]any, error) { return replies[call.Method], nil })
	for method, want := range map[string]string{
		"text": "a \"b\"\x1b[0m\n", "number": "-5\n", "float": "1.5\n", "list": "a\n2\n", "array": "a\nb\n", "struct": "{\n  \"a\": 1\n}\n", "none": "",
	} {
		if stdout, stderr, status := kamrpc(t, "-u", uri, "--raw", method); stdout != want || status != 0 {
			t.Errorf("%s: status %d, %q%s, want %q", method, status, stdout, stderr, want)
		}
	}
	if stdout, _, _ := kamrpc(t, "-u", uri, "--raw", "mixed"); !strings.HasPrefix(stdout, "[\n") {
		t.Errorf("a list with a struct is not JSON: %q", stdout)
	}
	var shown strings.Builder
	value, err := rpc.ValueOf(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRaw(&shown, value, true); err != nil {
		t.Fatal(err)
	}
	checkPrintable(t, shown.String())
}
